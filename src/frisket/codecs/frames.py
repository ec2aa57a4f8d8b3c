"""An image codec, frame by frame: videos to videos of states.

Shapes: b videos, c channels, t frames, h height, w width; k channels and (y, x) of a frame's state, which ids have
without channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn

from frisket.codecs.base import Codec, CodecConfig, Spec
from frisket.codecs.pixels import Pixels
from frisket.core.errors import check
from frisket.core.registry import register
from frisket.data.base import Batch, Info, Source, Stream


@register("codec/frames")
@dataclass(frozen=True, kw_only=True)
class FrameWise:
    """codec: of one frame. Data (b, c, t, h, w); states (b, k, t, y, x), or (b, t, y, x) for ids."""

    codec: CodecConfig = field(default_factory=Pixels)

    def fit(self, source: Source | Stream) -> FrameWise:
        return replace(self, codec=self.codec.fit(_Frames(source)))

    def build(self) -> FrameWiseCodec:
        return FrameWiseCodec(self.codec.build())


class FrameWiseCodec(nn.Module):
    """A built `FrameWise`. Frozen if the codec of a frame is."""

    def __init__(self, inner: Codec):
        super().__init__()
        self.inner = inner

    @property
    def stochastic(self) -> bool:
        """Whether `encode` takes a draw."""
        return getattr(self.inner, "stochastic", False)

    def encode(self, x: Tensor, draw: Tensor | None = None) -> Tensor:
        """x (b, c, t, h, w); draw: normal, shaped like the state."""
        frames = _apart(x)
        state = self.inner.encode(frames) if draw is None else self.inner.encode(frames, _apart(draw))
        return _together(state, len(x))

    def decode(self, state: Tensor) -> Any:
        """The videos of states."""
        return _together(self.inner.decode(_apart(state)), len(state))

    def spec(self, info: Info) -> Spec:
        """Facts of one video's state. Raises `FrisketError` on anything but videos."""
        check(len(info.shape) == 4, "shape of a video", info.shape, "(channels, frames, height, width)")
        channels, frames, *rest = info.shape
        one = self.inner.spec(replace(info, kind="image", shape=(channels, *rest)))
        lead, size = (one.shape[:1], one.shape[1:]) if len(one.shape) == 3 else ((), one.shape)
        return replace(one, shape=(*lead, frames, *size))


class _Frames:
    """A set of videos as a set of their frames, for what fits itself to images."""

    def __init__(self, source: Any):
        channels, _, *rest = source.info.shape
        self.source, self.info = source, replace(source.info, kind="image", shape=(channels, *rest))
        if hasattr(source, "batch"):
            self.batch = lambda ids: {"x": _apart(source.batch(ids)["x"])}

    def read(self, n: int) -> Batch:
        """The frames of the next n videos of a stream."""
        return {"x": _apart(self.source.read(n)["x"])}


def _apart(x: Tensor) -> Tensor:
    """Frames in the place of videos: (b, c, t, h, w) -> (b t, c, h, w), ids (b, t, h, w) -> (b t, h, w)."""
    return x.transpose(1, 2).flatten(0, 1) if x.ndim == 5 else x.flatten(0, 1)


def _together(frames: Tensor, videos: int) -> Tensor:
    """The way back."""
    split = frames.unflatten(0, (videos, -1))
    return split.transpose(1, 2).contiguous() if split.ndim == 5 else split
