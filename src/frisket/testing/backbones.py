"""Backbones: shapes, gradients, independence of the batch, sites, meta builds, saved weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from frisket.codecs.base import Spec
from frisket.core.condition import Condition
from frisket.core.sites import install
from frisket.core.step import Step, use_step
from frisket.testing.claims import STEP, claim, example_state, finite, refuses, same, untouched_generator

ROWS = torch.tensor([3, 1])
Inputs = tuple[Tensor, Tensor, Condition]


def check_backbone(
    config: Any, *, spec: Spec, channels_out: int | None = None, classes: Mapping[str, int] | None = None,
    parameters: int | None = None, unused: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """The promises of `models.base` for a state of `spec` with `classes` (name -> number of classes).

    channels_out: what the process asks for (the state's channels or vocabulary if None). parameters: the count that
    must come out. unused: parameters that this call does not reach, by the start of their names.
    """
    classes = {"label": 10} if classes is None else classes
    width = spec.vocabulary if spec.vocabulary is not None else spec.shape[0]
    channels_out = width if channels_out is None else channels_out
    config = config.fit(spec, channels_out, classes)
    model = config.build()
    _check_structure(config, model, parameters)
    stir(model)
    inputs = _inputs(spec, classes)
    out = untouched_generator(config, lambda: model(*inputs).pred)
    wanted = (*spec.shape, channels_out) if spec.kind == "ids" else (channels_out, *spec.shape[1:])
    claim(out.shape[1:] == wanted, config, f"pred is {tuple(out.shape[1:])}, wanted {wanted}")
    claim(finite(out), config, "pred is not finite")
    _check_calls(config, model, inputs, out)
    _check_gradients(config, model, inputs, unused)
    _check_sites(config, model, inputs, out)
    strange = Condition({**inputs[2].values, "nobody_reads_this": inputs[1]})
    refuses(config, "accepts a condition that no embedder reads", lambda: model(*inputs[:2], strange))


def stir(model: nn.Module, scale: float = 0.05) -> None:
    """Add small numbers to every floating parameter, so that gates that start at zero hide nothing."""
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            if parameter.is_floating_point():
                step = Step(seed=i, sample=torch.zeros(1, dtype=torch.int64))
                parameter.add_(scale * step.draw("testing/stir", tuple(parameter.shape))[0].to(parameter.dtype))


def _inputs(spec: Spec, classes: Mapping[str, int]) -> Inputs:
    t = torch.tensor([0.1, 0.4, 0.6, 0.9])
    labels = {name: torch.arange(4) % count for name, count in classes.items()}
    return example_state(spec.shape, spec.vocabulary), t, Condition(labels)


def _check_structure(config: Any, model: Any, parameters: int | None) -> None:
    with torch.device("meta"):
        shell = config.build()
    claim(all(p.is_meta for p in shell.parameters()), config, "a build on meta makes real parameters")
    shapes = [{n: tuple(v.shape) for n, v in m.state_dict().items()} for m in (model, shell)]
    claim(shapes[0] == shapes[1], config, "a build on meta has another structure")
    again = config.build()
    equal = all(torch.equal(v, again.state_dict()[n]) for n, v in model.state_dict().items())
    claim(equal, config, "two builds start from different weights; initialise from a fixed seed")
    count = sum(p.numel() for p in model.parameters())
    claim(parameters in (None, count), config, f"has {count:,} parameters, wanted {parameters}")
    claim(getattr(model, "config", None) == config, config, "model.config is not the config that built it")


def _check_calls(config: Any, model: Any, inputs: Inputs, out: Tensor) -> None:
    x, t, cond = inputs
    claim(same(model(x, t, cond).pred, out), config, "two equal calls differ")
    some = model(x[ROWS], t[ROWS], cond.rows(ROWS)).pred
    claim(same(some, out[ROWS], 1e-4), config, "the prediction of a row depends on its batch")
    with torch.no_grad():
        claim(same(model(x, t, cond).pred, out, 1e-6), config, "the prediction differs without gradients")
    for name in cond.values:
        dropped = model(x, t, cond.without(name)).pred
        claim(not same(dropped, out, 1e-6), config, f"dropping {name!r} changes nothing")
    twin = config.build()
    twin.load_state_dict(model.state_dict())
    claim(same(twin(x, t, cond).pred, out), config, "the same weights in a new build predict something else")


def _check_gradients(config: Any, model: Any, inputs: Inputs, unused: tuple[str, ...]) -> None:
    x, t, cond = inputs
    model.zero_grad()
    half = cond.without(where=torch.tensor([True, False, False, False])) if cond.values else cond
    model(x, t, half).pred.square().mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.startswith(unused or ("\0",)):
            got = parameter.grad is not None and finite(parameter.grad) and bool((parameter.grad != 0).any())
            claim(got, config, f"parameter {name} gets no gradient")
    model.zero_grad()


def _check_sites(config: Any, model: Any, inputs: Inputs, out: Tensor) -> None:
    sites = model.sites()
    claim(sites and len(set(sites)) == len(sites), config, "sites are missing or listed twice")
    for site in sites:  # one at a time: handlers on overlapping spans may refuse each other
        called = []

        def handle(call, args, step, called=called):
            called.append(step)
            return call(*args)

        with install(model, {site: handle}), use_step(STEP):
            passed = model(*inputs).pred
        claim(called, config, f"lists the site {site}, but no call reaches it")
        claim(same(passed, out), config, f"a handler at {site} that passes everything on changes the prediction")
