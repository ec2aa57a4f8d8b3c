"""A codec of frames: every frame as the image codec has it, videos of ids too."""

from __future__ import annotations

import pytest
import torch

from frisket.codecs.frames import FrameWise, FrameWiseCodec
from frisket.codecs.palette import Palette
from frisket.codecs.pixels import Pixels
from frisket.core import FrisketError
from frisket.data.base import Info
from frisket.data.scenes.drifts import Drifts
from frisket.testing import check_config

X = torch.rand(2, 3, 4, 8, 6, generator=torch.Generator().manual_seed(0))
INFO = Info(kind="video", shape=(3, 4, 8, 6))


@pytest.mark.parametrize("inner", [Pixels(), Palette(colours=((0.0, 0.0, 0.0), (1.0, 0.5, 0.0), (0.2, 0.9, 1.0)))])
def test_every_frame_is_encoded_by_itself(inner):
    check_config(FrameWise(codec=inner))
    codec, one = FrameWise(codec=inner).build(), inner.build()
    state = codec.encode(X)
    assert state.shape[1:] == codec.spec(INFO).shape
    assert codec.spec(INFO).kind == one.spec(Info(kind="image", shape=(3, 8, 6))).kind
    for i in range(4):
        frame = state[:, :, i] if state.ndim == 5 else state[:, i]
        assert torch.equal(frame, one.encode(X[:, :, i]))
        assert torch.equal(codec.decode(state)[:, :, i], one.decode(frame))


class Noisy:
    """A codec whose posterior is its input with a draw added."""

    stochastic = True

    def encode(self, x, draw=None):
        return x if draw is None else x + draw


def test_a_draw_reaches_its_frame():
    codec = FrameWiseCodec(Noisy())
    assert codec.stochastic
    assert torch.equal(codec.encode(X, X), X + X)
    assert not FrameWise().build().stochastic


def test_statistics_are_the_sets_own_and_images_are_refused():
    source = Drifts(size=(8, 8), frames=2).open("train")
    fitted = FrameWise(codec=Pixels(fitted=True)).fit(source)
    assert len(fitted.codec.mean) == 3
    colours = FrameWise(codec=Palette(count=4)).fit(source).codec.colours
    assert len(colours) == 4
    with pytest.raises(FrisketError, match="shape of a video"):
        FrameWise().build().spec(Info(kind="image", shape=(3, 8, 8)))
