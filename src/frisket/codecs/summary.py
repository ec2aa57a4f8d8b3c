"""One vector for a whole item, by a frozen network: an entry of a state (`codec/beside`). It cannot be decoded.

`Summary` takes the network that an experiment trains (its `needs`) and saves its weights with the codec. `Dinov2Class` is
the published choice of REG and SR-DiT (facts from SwayStar123/SpeedrunDiT train.py): the class token of DINOv2 behind its
last norm, of the image normalised by ImageNet's statistics and then resized (bicubic, not anti-aliased).
Shapes: b batch, z features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from frisket.codecs.base import CodecConfig, Spec
from frisket.codecs.pixels import Pixels
from frisket.core.errors import FrisketError, MissingExtra, check, unknown
from frisket.core.registry import register
from frisket.data.base import Info, Source, Stream

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@runtime_checkable
class Summarising(Protocol):
    """A registered value whose network has `summary(state) -> (b, width)`."""

    @property
    def width(self) -> int: ...

    def fit(self, spec: Spec, channels_out: int, classes: Mapping[str, int]) -> Summarising: ...

    def build(self) -> nn.Module: ...


@register("codec/summary")
@dataclass(frozen=True, kw_only=True)
class Summary:
    """network: whose summary it is. codec: makes the state that the network reads. need: the pipeline, among an
    experiment's needs, that has trained it."""

    network: Summarising
    codec: CodecConfig = field(default_factory=Pixels)
    need: str = "encoder"

    def fit(self, source: Source | Stream) -> Summary:
        codec, info = self.codec.fit(source), source.info
        classes = {"label": len(info.classes)} if info.classes else {}
        spec = codec.build().spec(info)
        return replace(self, codec=codec, network=self.network.fit(spec, spec.shape[0], classes))

    def build(self) -> SummaryCodec:
        return SummaryCodec(self)


class SummaryCodec(nn.Module):
    """A built `Summary`: frozen, with fresh weights until it takes or loads others."""

    def __init__(self, config: Summary):
        super().__init__()
        self.config = config
        self.network = config.network.build().eval().requires_grad_(False)
        self.coder = config.codec.build()

    def encode(self, x: Any, draw: Tensor | None = None) -> Float[Tensor, "b z"]:
        return self.network.eval().summary(self.coder.encode(x))  # type: ignore[operator]

    def decode(self, state: Tensor) -> Any:
        """Raises `FrisketError`: a summary does not hold the item."""
        raise FrisketError(f"{self.config.part_name} has no way back to the data")  # type: ignore[attr-defined]

    def spec(self, info: Info) -> Spec:
        return Spec(kind="continuous", shape=(self.config.network.width,))

    def take(self, given: Mapping[str, Any]) -> None:
        """The weights of the needed pipeline. Raises `FrisketError` if there is none, or its network is another."""
        name = self.config.need
        if name not in given:
            raise unknown(f"pipeline that {self.config.part_name} takes its network from", name, given)  # type: ignore[attr-defined]
        model = given[name].model
        check(model.config == self.config.network, f"needs[{name!r}].model", model.config, f"{self.config.network}")
        self.network.load_state_dict(model.state_dict())


@register("codec/sampled")
@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A vector of `numbers` features that a pipeline samples and throws away: what made it in training is not at hand, so
    nothing can be encoded."""

    numbers: int = 768

    def fit(self, source: Source | Stream) -> Sampled:
        return self

    def build(self) -> Sampled:
        return self

    def encode(self, x: Any, draw: Tensor | None = None) -> Tensor:
        """Raises `FrisketError`."""
        raise FrisketError("this pipeline samples an entry whose encoder it does not hold, so it cannot encode data")

    def decode(self, state: Tensor) -> Any:
        """Raises `FrisketError`."""
        raise FrisketError("codec/sampled has no way back to the data")

    def spec(self, info: Info) -> Spec:
        return Spec(kind="continuous", shape=(self.numbers,))


@register("codec/dinov2_class", cite="Oquab et al. DINOv2. 2023. arXiv:2304.07193")
@dataclass(frozen=True, kw_only=True)
class Dinov2Class:
    """model: a local folder or a Hugging Face id. size: side of the square that images in [0, 1] are resized to."""

    model: str = "facebook/dinov2-base"
    size: int = 224

    def fit(self, source: Source | Stream) -> Dinov2Class:
        return self

    def build(self) -> Dinov2Codec:
        """Raises `MissingExtra` without transformers, `FrisketError` when the weights are neither local nor
        reachable."""
        try:
            from transformers import AutoModel
        except ImportError as error:
            raise MissingExtra("transformers", "diffusers", f"the encoder {self.model!r}") from error
        try:
            model = AutoModel.from_pretrained(self.model, use_safetensors=True)
        except OSError as error:
            raise FrisketError(
                f"codec.model = {self.model!r} cannot be loaded: {' '.join(str(error).split())}"
            ) from None
        return Dinov2Codec(model, self.size)


class Dinov2Codec(nn.Module):
    """A loaded encoder, frozen."""

    def __init__(self, model: Any, size: int):
        super().__init__()
        self.model, self.size = model.eval().requires_grad_(False), size

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "b 3 h w"], draw: Tensor | None = None) -> Float[Tensor, "b z"]:
        mean, std = x.new_tensor(MEAN).view(1, 3, 1, 1), x.new_tensor(STD).view(1, 3, 1, 1)
        x = nn.functional.interpolate((x - mean) / std, (self.size, self.size), mode="bicubic")
        return self.model(pixel_values=x).last_hidden_state[:, 0]

    def decode(self, state: Tensor) -> Any:
        """Raises `FrisketError`: a class token does not hold the item."""
        raise FrisketError("codec/dinov2_class has no way back to the data")

    def spec(self, info: Info) -> Spec:
        return Spec(kind="continuous", shape=(int(self.model.config.hidden_size),))
