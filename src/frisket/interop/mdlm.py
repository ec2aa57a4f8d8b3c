"""Official MDLM weights: the DDiT backbone (kuleshov-group/mdlm models/dit.py, read for facts).

Its table and head have a row for the mask id, the last one; the head's is kept, so logits are the official ones. The
official time is sigma, which MDLM sets to zero unless it is conditioned on time.
"""

from __future__ import annotations

from torch import Tensor, nn

from frisket.codecs import text as codecs
from frisket.codecs.tokenizer import Tokenizer
from frisket.core.errors import FrisketError
from frisket.data.base import Info
from frisket.interop.official import Taken, official, published_heads, renamed, wires
from frisket.models.backbones.sizes import DDIT, ddit_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.layers.embedders import Timeless, Timestep
from frisket.models.layers.ends import Ids, Logits
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Rotary
from frisket.processes.masked import Masked
from frisket.sampling.decoding.decoder import Ancestral
from frisket.sampling.pipeline import Pipeline
from frisket.sampling.sampler import Sampler

BLOCK = {
    "norm1": "branches.attn.norm", "attn_qkv": "branches.attn.mixer.qkv", "attn_out": "branches.attn.mixer.inner.out",
    "norm2": "branches.ffn.norm", "mlp.0": "branches.ffn.mixer.up", "mlp.2": "branches.ffn.mixer.down",
    "adaLN_modulation": "modulation.linear",
}  # fmt: skip
ENDS = {
    "sigma_map.mlp.0": "time.mlp.up", "sigma_map.mlp.2": "time.mlp.out", "output_layer.norm_final": "final_norm",
    "output_layer.linear": "output.linear", "output_layer.adaLN_modulation": "final_modulation.linear",
}  # fmt: skip


@official("mdlm")
def load_mdlm(
    weights: Taken,
    /,
    *,
    length: int,
    num_heads: int | None = None,
    time_conditioning: bool = False,
    dropout: float = 0.1,
) -> tuple[Transformer, dict[str, Tensor]]:
    """length: of a sequence. num_heads: of attention; that of the published size of this depth and width if None.
    time_conditioning: feed the time given (sigma) instead of zero. dropout: in training; weights do not tell it. Names
    may start with "backbone.", as in the official checkpoints."""
    inside = Taken({name.removeprefix("backbone."): value for name, value in weights.weights.items()})
    if len(inside.weights) != len(weights.weights):
        raise FrisketError("official mdlm weights hold the same name with and without 'backbone.'")
    table = inside("vocab_embed.embedding")
    rows, width = table.shape
    depth, logits = inside.depth("blocks."), inside("output_layer.linear.weight").shape[0]
    frequencies = inside("sigma_map.mlp.0.weight").shape[1]
    config = Transformer(
        width=width,
        heads=published_heads(DDIT, depth, width) if num_heads is None else num_heads,
        condition=inside("sigma_map.mlp.2.weight").shape[0],
        input=Ids(vocabulary=rows - 1, size=(length,)),
        output=Logits(vocabulary=logits),
        positions=Rotary(layout="half"),
        time=Timestep(frequencies=frequencies) if time_conditioning else Timeless(frequencies=frequencies),
        blocks=repeat(ddit_block(dropout), depth),
        final_norm=LayerNorm(eps=1e-5, affine="weight"),
    )
    ours = renamed(inside, ENDS) | {"input.table.weight": table}
    for i in range(depth):
        ours |= renamed(inside, BLOCK, f"blocks.{i}.", f"blocks.{i}.")
    inside.ignore("rotary_emb.inv_freq")  # a formula
    weights.ignore(*(name for name in weights.weights if name.removeprefix("backbone.") in inside.used))
    return config, ours


@wires("mdlm")
def mdlm_pipeline(model: nn.Module, /, *, tokenizer: str | None = None) -> Pipeline:
    """As trained: masked diffusion with a log-linear schedule, whose bound needs no time; as sampled: 1,000 ancestral
    steps. tokenizer: folder or hub name ("gpt2"); without one the data are ids."""
    config: Transformer = model.config  # type: ignore[assignment]
    ends = config.input
    if not (isinstance(ends, Ids) and isinstance(config.time, Timeless)):
        raise FrisketError("official mdlm weights conditioned on time are fed sigma, which no process here feeds")
    vocabulary, length = ends.vocabulary, ends.size[0]
    process, sampler = Masked(vocabulary=vocabulary), Sampler(steps=1000, update=Ancestral())
    if tokenizer is None:
        info = Info(kind="ids", shape=(length,))
        return Pipeline(model, process, codecs.Ids(vocabulary=vocabulary), sampler, info)
    return Pipeline(model, process, Tokenizer(target=tokenizer, length=length), sampler, Info(kind="text"))
