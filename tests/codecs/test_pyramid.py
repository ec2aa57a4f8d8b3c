"""Rows of tokens of images at one or two scales."""

import pytest
import torch

from frisket.codecs.palette import Palette
from frisket.codecs.pixels import Pixels
from frisket.codecs.pyramid import Pyramid
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.digits import Digits

INFO = Info(kind="image", shape=(3, 8, 8))


def made(**fields):
    return Pyramid(size=(3, 8, 8), **fields).build()


@pytest.mark.parametrize("patch", [1, 2])
def test_the_fine_image_comes_back_and_the_coarse_one_is_its_mean(patch):
    codec, x = made(shrink=(2, 1), patch=patch), torch.rand(2, 3, 8, 8)
    z = codec.encode(x)
    assert z.shape == (2, *codec.spec(INFO).shape) == (2, 3 * patch**2, 80 // patch**2)
    torch.testing.assert_close(codec.decode(z), x)
    torch.testing.assert_close(codec.level(z, 0), torch.nn.functional.avg_pool2d(x, 2))


def test_tokens_are_in_raster_order_with_channels_first():
    x = torch.arange(3 * 64.0).reshape(1, 3, 8, 8)
    z = made(codec=Pixels(mean=(0.0,), std=(1.0,), clamp=False), patch=2).encode(x)
    assert torch.equal(z[0, :, 1], x[0, :, :2, 2:4].flatten())


def test_the_decoded_image_reads_the_last_level_alone_and_hidden_tokens_are_middle_grey():
    codec = made(shrink=(2, 1))
    z = codec.encode(torch.rand(1, 3, 8, 8))
    other = z.clone()
    other[..., :16] = torch.nan
    assert torch.equal(codec.decode(z), codec.decode(other))
    assert bool((codec.decode(torch.full_like(z, torch.nan)) == 0.5).all())


def test_it_fits_its_data_and_refuses_what_does_not_divide():
    assert Pyramid().fit(Digits().open("train")).size == (1, 8, 8)
    with pytest.raises(FrisketError, match="fit the codec"):
        Pyramid().build().decode(torch.zeros(1, 1, 64))
    with pytest.raises(FrisketError, match="image shape"):
        made(shrink=(4, 1), patch=4).encode(torch.rand(1, 3, 8, 8))
    with pytest.raises(FrisketError, match="shrink"):
        Pyramid(shrink=(2,))
    with pytest.raises(FrisketError, match="continuous"):
        made(codec=Palette(colours=((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))).spec(INFO)
