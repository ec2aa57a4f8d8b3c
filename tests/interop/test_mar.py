"""Parity with official MAR and Hi-MAR: every pass at equal weights, the loss at equal numbers, published sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from frisket.core import Condition, FrisketError
from frisket.core.condition import Output
from frisket.core.sites import Dispatch
from frisket.interop.golden import forward_difference, golden
from frisket.interop.mar import TOKEN, himar, himar_process, load_mar, mar, mar_process
from frisket.interop.official import load_official
from frisket.models.count import parameters_of_size
from frisket.processes.base import Corrupted

GOLDEN = Path(__file__).parent.parent / "golden"


def arrays(name):
    with np.load(GOLDEN / f"{name}_forward.npz", allow_pickle=False) as file:
        return {k: torch.from_numpy(file[k]) for k in file.files}


def test_outputs_are_the_official_ones():
    assert forward_difference("mar", num_heads=2) < 1e-5
    assert forward_difference("hi-mar", num_heads=2, grid_heads=2) < 1e-5


def test_the_vectors_before_the_heads_are_the_official_ones():
    for name, facts, keys in (("mar", {}, ["vectors"]), ("hi-mar", {"grid_heads": 2}, ["coarse", "fine"])):
        weights, inputs, _ = golden(name)
        held, model = arrays(name), load_official(name, weights, num_heads=2, **facts)
        d = model.config.numbers
        with torch.no_grad():
            cond = Condition.of(label=inputs["y"])
            made = model.trunk(Dispatch(model), inputs["x"][:, :d].transpose(1, 2), cond, tuple(range(len(keys))))
        for k, key in enumerate(keys):
            torch.testing.assert_close(made[k][:, : held[key].shape[1]], held[key], rtol=1e-5, atol=1e-5)


def test_the_loss_is_the_official_one():
    held = arrays("mar")
    process = mar_process(16)
    b, r, n, d = held["eps"].shape
    clean = held["clean"].transpose(1, 2)
    noise = held["eps"].transpose(2, 3).flatten(0, 1)
    local = ((held["t"].double() + 1) / 1000).flatten(0, 1)[:, None]
    inner = TOKEN.corrupt(clean.repeat_interleave(r, 0), local, noise)
    model = load_official("mar", golden("mar")[0], num_heads=2)
    z = held["vectors"].repeat_interleave(r, 0)
    with torch.no_grad():
        times = TOKEN.model_time(local[:, 0])
        pred = model.heads[0](inner.x_t.transpose(1, 2), times, z, torch.ones(b * r, n, dtype=torch.bool))
    hidden = held["mask"].bool().repeat_interleave(r, 0)
    terms = TOKEN.loss(Output(pred.transpose(1, 2)), inner, hidden)
    torch.testing.assert_close(sum(terms.values()).mean().float(), held["loss"], rtol=1e-4, atol=1e-4)
    assert isinstance(inner, Corrupted)
    assert process.levels[0].inner == TOKEN
    assert d == 4


@pytest.mark.parametrize(
    ("of", "size", "millions"),
    [(mar, "base", 207.9), (mar, "large", 478.3), (mar, "huge", 942.4),
     (himar, "base", 244), (himar, "large", 529), (himar, "huge", 1090)],
)  # fmt: skip
def test_published_sizes(of, size, millions):
    assert parameters_of_size(of(size)) / 1e6 == pytest.approx(millions, rel=0.003)


def test_the_terms_of_himar_weigh_by_their_tokens():
    coarse, fine = himar_process().levels
    assert (coarse.weight, fine.weight) == pytest.approx((0.4, 0.6))


def test_weights_that_do_not_fit_are_refused():
    weights, _, _ = golden("mar")
    assert callable(load_mar)
    with pytest.raises(FrisketError, match="nothing reads"):
        load_official("mar", weights | {"more": torch.zeros(1)}, num_heads=2)
    with pytest.raises(FrisketError, match="no published size"):
        load_official("mar", weights)
    with pytest.raises(FrisketError, match="lack"):
        load_official("mar", {k: v for k, v in weights.items() if k != "mask_token"}, num_heads=2)
