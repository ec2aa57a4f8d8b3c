import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frisket.codecs.palette import Palette, centres
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.scenes import Scenes
from frisket.data.scenes.vocabulary import COLOUR_RGB, GROUND_RGB
from frisket.testing import check_codec

COLOURS = GROUND_RGB + COLOUR_RGB


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), patch=st.sampled_from([1, 2, 4]))
def test_what_is_painted_is_read_back(seed, patch):
    codec = Palette(colours=COLOURS, patch=patch)
    ids = torch.randint(0, len(COLOURS), (2, 4, 3), generator=torch.Generator().manual_seed(seed))
    image = codec.decode(ids)
    assert image.shape == (2, 3, 4 * patch, 3 * patch)
    assert torch.equal(codec.encode(image), ids)


def test_it_keeps_the_promises_of_codecs():
    source = Scenes(size=(16, 16)).open("train")
    check_codec(Palette(colours=COLOURS, patch=2), source.batch(torch.arange(3))["x"], source.info)


def test_a_cell_has_the_colour_of_its_mean():
    codec = Palette(colours=((0.0,), (0.5,), (1.0,)), patch=2)
    image = torch.tensor([[[[0.0, 0.0, 1.0, 1.0], [0.1, 0.0, 0.9, 0.5]]]])
    assert codec.encode(image).tolist() == [[[0, 2]]]


def test_colours_are_fitted_to_the_images():
    drawn = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.8, 0.7], [0.5, 0.1, 0.9]])

    class Three:
        info = Info(kind="image", shape=(3, 4, 4), size=6)

        def batch(self, ids):
            return {"x": drawn[ids % 3][:, :, None, None].expand(-1, 3, 4, 4)}

    fitted = Palette(count=3).fit(Three())
    torch.testing.assert_close(torch.tensor(sorted(fitted.colours)), torch.tensor(sorted(drawn.tolist())))
    assert fitted.fit(Three()) is fitted
    x = torch.cat([c + 0.01 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) for c in drawn])
    torch.testing.assert_close(centres(x, 3).sort(0).values, drawn.sort(0).values, atol=0.01, rtol=0)


def test_what_does_not_fit():
    with pytest.raises(FrisketError, match="codec.patch = 3"):
        Palette(colours=COLOURS, patch=3).spec(Info(kind="image", shape=(3, 16, 16)))
    with pytest.raises(FrisketError, match="channels = 1"):
        Palette(colours=COLOURS).encode(torch.zeros(1, 1, 4, 4))
    with pytest.raises(FrisketError, match="ids 0..16"):
        Palette(colours=COLOURS).decode(torch.tensor([[[0, 16]]]))
    with pytest.raises(FrisketError, match="set or fitted"):
        Palette().build()
    with pytest.raises(FrisketError, match="equally many channels"):
        Palette(colours=((0.0,), (0.0, 1.0)))
