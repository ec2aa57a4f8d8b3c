"""Token plans: who passes, who comes back unchanged, and that everybody passing is the dense model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from frisket.core.condition import Condition
from frisket.models.backbones.transformer import Transformer
from frisket.models.block import Block, repeat
from frisket.models.doors import Door
from frisket.models.layers.embedders import ClassIds
from frisket.models.layers.ends import Patches
from frisket.models.layers.positions import RelativeBias, Rotary, SinCos
from frisket.testing.backbones import stir
from frisket.testing.claims import STEP, claim, example_state, finite, refuses, same
from frisket.testing.configs import check_config

DEPTH = 5
POSITIONS = (SinCos(), Rotary(), RelativeBias())


def check_plan(plan: Any, *, depth: int = DEPTH, size: tuple[int, int] = (8, 8)) -> None:
    """The promises of `models.plans.base` in a small transformer of `depth` blocks and patch 1 on a grid of `size`.

    The plan round-trips as a config and builds on meta. Its draws repeat, differ between samples, do not depend on the
    batch and name different tokens of the grid. All tokens in raster order are the dense pass bit for bit, in any other
    order to 1e-5, with positions added, rotary and as a bias. An empty selection gives the span's parameters no
    gradient; a draw gives finite gradients. Ids that name no token are refused.
    """
    check_config(plan)
    for positions in POSITIONS:
        _check_orders(plan, replace(_config(plan, depth, size), positions=positions), size)
    model = _built(_config(plan, depth, size))
    _check_draws(plan, model, size)
    _check_gradients(plan, model, size)
    with torch.device("meta"):
        shell = _config(plan, depth, size).build()
    claim(all(p.is_meta for p in shell.parameters()), plan, "does not build on meta")


def _config(plan: Any, depth: int, size: tuple[int, int]) -> Transformer:
    door = Door(embedder=ClassIds(classes=10))
    return Transformer(
        width=32, heads=4, input=Patches(size=size, patch=1), blocks=repeat(Block(), depth), doors=(door,), plan=plan
    )


def _built(config: Transformer) -> Any:
    model = config.build()
    stir(model, 0.1)
    return model


def _inputs(size: tuple[int, int]) -> tuple[Tensor, Tensor, Condition]:
    return example_state((1, *size)), torch.tensor([0.1, 0.4, 0.6, 0.9]), Condition.of(label=torch.arange(4))


def _check_orders(plan: Any, config: Transformer, size: tuple[int, int]) -> None:
    model, inputs = _built(config), _inputs(size)
    raster = torch.arange(size[0] * size[1]).expand(4, -1)
    whole = {span.name: raster for span in plan.spans}
    claim(
        same(model(*inputs, whole).pred, model(*inputs).pred), plan, "all tokens are not the dense pass with gradients"
    )
    with torch.no_grad():
        dense = model(*inputs).pred
        orders = STEP.draw("testing/order", (raster.shape[1],)).argsort(1)
        for span in plan.spans:
            kept = model(*inputs, {span.name: raster}).pred
            claim(same(kept, dense), plan, f"span {span.name!r} with all tokens is not the dense pass bit for bit")
            mixed = model(*inputs, {span.name: orders}).pred
            claim(same(mixed, dense, 1e-5), plan, f"span {span.name!r} depends on the order of its tokens")
            some = raster.clone()
            some[1] = -1
            skipped, alone = model(*inputs, {span.name: some}).pred, model(*inputs, {span.name: raster[:, :0]}).pred
            claim(same(skipped[1], alone[1], 1e-5), plan, "a row of -1 is not the pass of a sample that skips the span")
            claim(same(skipped[0], dense[0], 1e-5), plan, "a sample that skips the span changes another")


def _check_draws(plan: Any, model: Any, size: tuple[int, int]) -> None:
    inputs, n = _inputs(size), size[0] * size[1]
    tags = model.tags(inputs[0])
    noise = torch.tensor([0.1, 0.4, 0.6, 0.9])
    keep, again = plan.draw(tags, STEP, noise), plan.draw(tags, STEP, noise)
    names = {span.name for span in plan.spans}
    claim(set(keep) <= names, plan, f"draws for the spans {sorted(keep)}, owns {sorted(names)}")
    for name, ids in keep.items():
        claim(ids.shape[0] == 4 and not ids.is_floating_point(), plan, "ids are not integers, one row a sample")
        claim(torch.equal(ids, again[name]), plan, "two draws of one step differ")
        alone = plan.draw(tags, STEP.rows(torch.tensor([2])), noise[2:3])[name]
        claim(torch.equal(ids[2], alone[0]), plan, "a sample's tokens depend on its batch")
        passing = ids[ids[:, 0] >= 0]
        claim(bool((passing < n).all()), plan, "ids lie outside the grid")
        claim(all(len(set(row.tolist())) == len(row) for row in passing), plan, "a token is named twice")
        later = plan.draw(tags, STEP.at(index=7), noise)[name]
        claim(ids.shape != later.shape or not torch.equal(ids, later), plan, "another step draws the same tokens")
    claim(finite(model(*inputs, keep).pred), plan, "a drawn pass is not finite")


def _check_gradients(plan: Any, model: Any, size: tuple[int, int]) -> None:
    inputs = _inputs(size)
    for span in plan.spans:
        low, high = span.run(len(model.blocks))
        inside = tuple(f"blocks.{i}." for i in range(low, high))
        model.zero_grad(set_to_none=True)
        nobody = torch.empty(4, 0, dtype=torch.int64)
        model(*inputs, {span.name: nobody}).pred.square().mean().backward()
        for name, parameter in model.named_parameters():
            if name.startswith(inside):
                claim(parameter.grad is None, plan, f"nobody passes {span.name!r}, yet {name} gets a gradient")
    model.zero_grad(set_to_none=True)
    keep = plan.draw(model.tags(inputs[0]), STEP, torch.full((4,), 0.5))
    model(*inputs, keep).pred.square().mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            got = parameter.grad is not None and finite(parameter.grad)
            claim(got, plan, f"parameter {name} gets no finite gradient from a drawn pass")
    for span in plan.spans:
        wrong = torch.full((4, 2), size[0] * size[1])
        refuses(plan, "takes ids outside the grid", lambda name=span.name, wrong=wrong: model(*inputs, {name: wrong}))
        twice = torch.zeros(4, 2, dtype=torch.int64)
        refuses(plan, "takes a token twice", lambda name=span.name, twice=twice: model(*inputs, {name: twice}))
