"""Where the blocks of foreign transformers are, and which of a block's modules are its branches.

A layout is all that is needed to give a transformer of diffusers (or any other module) the sites of frisket's own. The
attribute names were read from diffusers 0.42. A branch named here must return its *ungated* output; the block applies
gate and residual itself. The joint attention of SD3, FLUX and CogVideoX returns both streams, which one site answers
together. FLUX's single blocks gate the sum of attention and MLP only after their common projection `join`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from frisket.core.errors import check


@dataclass(frozen=True, kw_only=True)
class Stack:
    """where: attribute path of a list of blocks. branches: site name -> attribute path inside a block; a block that
    lacks one (or holds None there) has no such site."""

    where: str = "transformer_blocks"
    branches: Mapping[str, str] = field(default_factory=lambda: {"attn": "attn1", "cross": "attn2", "ffn": "ff"})

    def __post_init__(self):
        for name in self.branches:
            check(name.isidentifier(), "stack.branches", name, "identifiers")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """stacks: in the order of the call; their blocks are numbered on. state, time: names of the arguments of the
    model's forward that hold the state and its time."""

    stacks: tuple[Stack, ...] = (Stack(),)
    state: str = "hidden_states"
    time: str = "timestep"


PLAIN = Layout()
JOINT = {"attn": "attn", "ffn": "ff", "ffn_context": "ff_context"}
LAYOUTS: dict[str, Layout] = {
    "DiTTransformer2DModel": PLAIN,
    "PixArtTransformer2DModel": PLAIN,
    "LTXVideoTransformer3DModel": PLAIN,
    "CogVideoXTransformer3DModel": Layout(stacks=(Stack(branches={"attn": "attn1", "ffn": "ff"}),)),
    "LatteTransformer3DModel": Layout(stacks=(Stack(), Stack(where="temporal_transformer_blocks"))),
    "WanTransformer3DModel": Layout(
        stacks=(Stack(where="blocks", branches={"attn": "attn1", "cross": "attn2", "ffn": "ffn"}),)
    ),
    "SD3Transformer2DModel": Layout(stacks=(Stack(branches=JOINT | {"attn2": "attn2"}),)),
    "FluxTransformer2DModel": Layout(
        stacks=(
            Stack(branches=JOINT),
            Stack(where="single_transformer_blocks", branches={"attn": "attn", "ffn": "proj_mlp", "join": "proj_out"}),
        )
    ),
}


def describe(name: str, layout: Layout) -> None:
    """Make the class called `name` known. Raises `FrisketError` if another layout is known by that name."""
    known = LAYOUTS.get(name, layout)
    check(known == layout, "layout", name, "a class that is not described differently already")
    LAYOUTS[name] = layout
