"""Equality with official MDM-Prime, on stored arrays: digits, the rule of visible digits, and the text network.

The arrays lie in `tests/golden/prime.npz` and `prime_forward.npz` (its README names what made them).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frisket.core.digits import digits_of, number_of
from frisket.core.errors import FrisketError
from frisket.interop.golden import GOLDEN
from frisket.interop.mdlm import BLOCK, ENDS
from frisket.interop.official import Taken, official, renamed
from frisket.models.backbones.sizes import ddit_block
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import repeat
from frisket.models.layers.digit_ids import DigitIds
from frisket.models.layers.embedders import Timeless
from frisket.models.layers.ends import Logits
from frisket.models.layers.norms import LayerNorm
from frisket.models.layers.positions import Rotary
from frisket.processes.emissions import JointDigits


def functions_difference(folder: Path = GOLDEN) -> float:
    """Codes and their inverse, log probabilities of symbols that fit the visible digits, and the released loss: the
    largest difference."""
    path = folder / "prime.npz"
    if not path.is_file():
        raise FrisketError(f"{path} does not exist; parity is measured in the source tree, which holds the arrays")
    with np.load(path, allow_pickle=False) as held:
        arrays = {key: torch.from_numpy(held[key]) for key in held.files}
    return max(_one(arrays, count) for count in (2, 3))


def _one(held: dict[str, Tensor], count: int) -> float:
    ids, logits = held["ids"], held["logits"]
    base, symbols = int(held[f"{count}/base"]), logits.shape[-1]
    digits = digits_of(ids, base, count)
    x_t = held[f"{count}/x_t"].unflatten(1, (-1, count))
    emission = JointDigits(symbols=symbols)
    joint, out = emission.joint(logits, x_t, base), held[f"{count}/log_p"]
    trained = emission.trained(logits, x_t, digits, x_t == base, base)[..., 0]
    gaps = [
        (digits.flatten(1) - held[f"{count}/digits"]).abs().max(),
        (number_of(digits, base) - held[f"{count}/back"]).abs().max(),
        (joint.exp() - out.exp()).abs().max(),
        (joint.clamp(min=-50) - out.clamp(min=-50)).abs().max(),
        (trained + out.gather(-1, ids[..., None])[..., 0]).abs().max(),
    ]
    return max(float(gap) for gap in gaps)


@official("prime")
def load_prime(
    weights: Taken, /, *, length: int, num_heads: int, dropout: float = 0.1
) -> tuple[Transformer, dict[str, Tensor]]:
    """The text network without time. length: of a sequence, in tokens. num_heads: of attention."""
    table = weights("vocab_embed.embedding")
    width, depth = weights("output_layer.linear.weight").shape[1], weights.depth("blocks.")
    config = Transformer(
        width=width, heads=num_heads, condition=weights("sigma_map.mlp.2.weight").shape[0],
        input=DigitIds(base=len(table) - 1, size=(length,), count=width // table.shape[1]),
        output=Logits(vocabulary=len(weights("output_layer.linear.weight"))), positions=Rotary(layout="half"),
        time=Timeless(frequencies=weights("sigma_map.mlp.0.weight").shape[1]),
        blocks=repeat(ddit_block(dropout), depth), final_norm=LayerNorm(eps=1e-5, affine="weight"),
    )  # fmt: skip
    ours = renamed(weights, ENDS) | {"input.table.weight": table}
    for i in range(depth):
        ours |= renamed(weights, BLOCK, f"blocks.{i}.", f"blocks.{i}.")
    weights.ignore("rotary_emb.inv_freq")  # a formula
    return config, ours
