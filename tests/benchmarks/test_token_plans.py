"""The benchmark's arms are comparable, and its theory is that of the counts."""

from __future__ import annotations

import torch
from benchmarks.token_plans import arms, measure, step_of

from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches, PatchesOut
from frisket.models.plans.routing import Routing


def small(plan=None):
    return Transformer(
        width=32, heads=4, input=Patches(channels=4, size=(32, 32), patch=4), output=PatchesOut(channels=4),
        doors=(Door(embedder=ClassIds(classes=10)),), blocks=repeat(Block(), 3), plan=plan,
    )  # fmt: skip


def test_each_dense_network_is_its_plans_but_for_the_plan():
    for name, (planned, dense) in arms().items():
        assert dense.plan is None, name
        assert (planned.width, len(planned.blocks), planned.skips) == (dense.width, len(dense.blocks), dense.skips), (
            name
        )
        assert planned.blocks == dense.blocks, name


def test_every_step_draws_anew_and_leaves_no_gradient():
    model = small(Routing(low=1, high=-1)).build()
    seen = []
    inner = model.forward
    model.forward = lambda *args: seen.append(args[3]["route"]) or inner(*args)
    run = step_of(model, 2)
    run(), run()
    assert not torch.equal(seen[0], seen[1])
    assert all(p.grad is None for p in model.parameters())


def test_a_measurement_says_what_flops_promise():
    row = measure("half", (small(Routing(low=0, high=0)), small()), 2, 1)
    assert 1.5 < row["theoretical"] < 2.2
    assert set(row["kept_of_the_saving"]) == {"median", "processor"}
