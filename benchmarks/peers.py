"""frisket's `Transformer` and diffusers' `DiTTransformer2DModel` at one configuration and with the same weights.

Known differences, none of them in what is computed: diffusers embeds time and class once a block and once more before
its head, with weights of each block's own (here copies of one), and has three linear layers where frisket has one for
queries, keys and values. Its sinusoid spaces the frequencies by 127 instead of 128 steps, which frisket's period is set
to here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from frisket.core.condition import Condition
from frisket.models.backbones.sizes import dit
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.count import count_macs, count_parameters
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds, Timestep
from frisket.models.layers.ends import Patches, PatchesOut


@dataclass(frozen=True, kw_only=True)
class Case:
    """One configuration, and the batch it is measured with."""

    name: str
    config: Transformer
    batch: int

    @property
    def ends(self) -> tuple[Patches, PatchesOut]:
        assert isinstance(self.config.input, Patches)
        assert isinstance(self.config.output, PatchesOut)
        return self.config.input, self.config.output

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one state."""
        return (self.ends[0].channels, *self.ends[0].size)

    @property
    def classes(self) -> int:
        embedder = self.config.doors[0].embedder
        assert isinstance(embedder, ClassIds)
        return embedder.classes


SAME_SINUSOID = Timestep(period=10_000.0 ** (128 / 127))
CASES = {
    "digits": Case(
        name="digits, 8x8x1, patch 2, width 64, depth 6, 4 heads", batch=64,
        config=Transformer(
            width=64, heads=4, input=Patches(channels=1, size=(8, 8), patch=2), output=PatchesOut(channels=1),
            time=SAME_SINUSOID, doors=(Door(name="label", embedder=ClassIds(classes=10)),), blocks=repeat(Block(), 6),
        ),
    ),
    "dit-s-2": Case(name="DiT-S/2, 32x32x4, 1000 classes", batch=8, config=replace(dit("S", 2), time=SAME_SINUSOID)),
}  # fmt: skip


def ours(case: Case) -> nn.Module:
    """frisket's model, every weight random: fresh ones would have gates and a head of zero."""
    model = case.config.build()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            if value.requires_grad:
                value.copy_(torch.randn(value.shape, generator=generator) * value.shape[-1] ** -0.5)
    return model


def theirs(case: Case, weights: nn.Module) -> nn.Module:
    """diffusers' model with the weights of `ours`."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    from diffusers import DiTTransformer2DModel

    config, (start, end) = case.config, case.ends
    model = DiTTransformer2DModel(
        num_attention_heads=config.heads, attention_head_dim=config.width // config.heads, in_channels=start.channels,
        out_channels=end.channels, num_layers=config.depth, sample_size=start.size[0], patch_size=start.grid.patch[0],
        num_embeds_ada_norm=case.classes, norm_eps=1e-6,
    )  # fmt: skip
    model.load_state_dict(_renamed(weights.state_dict(), config.depth, start))
    return model


def _renamed(held: dict[str, Tensor], depth: int, start: Patches) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}

    def take(name: str, own: str) -> None:
        for kind in ("weight", "bias"):
            out[f"{name}.{kind}"] = held[f"{own}.{kind}"]

    for i in range(depth):
        to, own = f"transformer_blocks.{i}", f"blocks.{i}"
        take(f"{to}.norm1.emb.timestep_embedder.linear_1", "time.mlp.up")
        take(f"{to}.norm1.emb.timestep_embedder.linear_2", "time.mlp.out")
        out[f"{to}.norm1.emb.class_embedder.embedding_table.weight"] = held["doors.embedders.label.table.weight"]
        take(f"{to}.norm1.linear", f"{own}.modulation.linear")
        for kind in ("weight", "bias"):
            parts = held[f"{own}.branches.attn.mixer.qkv.{kind}"].chunk(3)
            out |= {f"{to}.attn1.to_{n}.{kind}": part for n, part in zip("qkv", parts, strict=True)}
        take(f"{to}.attn1.to_out.0", f"{own}.branches.attn.mixer.inner.out")
        take(f"{to}.ff.net.0.proj", f"{own}.branches.ffn.mixer.up")
        take(f"{to}.ff.net.2", f"{own}.branches.ffn.mixer.down")
    take("proj_out_1", "final_modulation.linear")
    take("proj_out_2", "output.linear")
    take("pos_embed.proj", "input.linear")
    flat = out["pos_embed.proj.weight"]
    out["pos_embed.proj.weight"] = flat.view(len(flat), start.channels, *start.grid.patch)
    return out


@dataclass(frozen=True)
class Inputs:
    """One batch: states, times on diffusers' scale of 0 to 999, class ids, and a target."""

    x: Tensor
    t: Tensor
    label: Tensor
    target: Tensor


def inputs(case: Case, batch: int) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    channels = case.ends[1].channels
    return Inputs(
        torch.randn(batch, *case.shape, generator=generator),
        torch.randint(0, 1000, (batch,), generator=generator).float(),
        torch.randint(0, case.classes, (batch,), generator=generator),
        torch.randn(batch, channels, *case.shape[1:], generator=generator),
    )


def call_ours(model: nn.Module, given: Inputs) -> Tensor:
    """In training a tenth of the labels is dropped, as diffusers' embedder does by itself."""
    drop = {"label": torch.rand(len(given.label)) < 0.1} if model.training else {}
    return model(given.x, given.t, Condition({"label": given.label}, drop)).pred


def call_theirs(model: nn.Module, given: Inputs) -> Tensor:
    return model(given.x, given.t, given.label, return_dict=False)[0]


def fairness(case: Case, a: nn.Module, b: nn.Module) -> dict[str, Any]:
    """The facts that make the comparison one of speed: shapes, the largest difference of outputs, parameters (frisket's
    include its frozen position table, diffusers' an embedding of time and class for each block), MACs.

    Raises `RuntimeError` if the two do not compute the same.
    """
    given = inputs(case, 2)
    with torch.no_grad():
        left, right = call_ours(a.eval(), given), call_theirs(b.eval(), given)
    if left.shape != right.shape:
        raise RuntimeError(f"outputs differ in shape: {tuple(left.shape)} and {tuple(right.shape)}")
    apart = float((left - right).abs().max() / right.abs().max())
    if apart > 1e-4:
        raise RuntimeError(
            f"outputs differ by {apart:.1e} of their largest value; this would not compare like with like"
        )
    return {
        "output_shape": list(left.shape[1:]), "largest_relative_difference": apart,
        "parameters": {"frisket": count_parameters(a), "diffusers": count_parameters(b)},
        "parameters_diffusers_one_embedding": count_parameters(b) - _repeated(b),
        "macs_a_sample": count_macs(a, case.shape),
    }  # fmt: skip


def _repeated(model: nn.Module) -> int:
    """Parameters of all embeddings of time and class but the first."""
    found = [count_parameters(m) for m in model.modules() if type(m).__name__ == "CombinedTimestepLabelEmbeddings"]
    return sum(found[1:])
