"""What changes a model: edits for good, handlers for a while."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from frisket.core.edits import apply_edits
from frisket.core.sites import ATTRIBUTE, Handler, install
from frisket.core.step import use_step
from frisket.testing.claims import STEP, claim, finite, name_of, same
from frisket.testing.configs import check_config


def check_edit(edit: Any, config: Any, run: Callable[[nn.Module], Tensor], *, exact: float | None = None) -> None:
    """The promises of `core.edits.Edit` on the model that `config` builds. run: calls a model, gives its output.

    The edit round-trips as a config, changes the structure on meta as it does with weights, and a model built from
    config and edit takes the edited weights and gives the same output. exact: how closely the edited model must give
    the unedited one's output (0: bit for bit; None: it may differ).
    """
    check_config(edit)
    model = config.build()
    plain = run(model)
    edited = apply_edits(copy.deepcopy(model), [edit])
    out = run(edited)
    claim(finite(out), edit, "gives a model whose output is not finite")
    claim(edited.edits[-1] == edit, edit, "is not recorded in model.edits")
    with torch.device("meta"):
        shell = config.build()
        edit.build(shell)
    shapes = [{n: tuple(v.shape) for n, v in m.state_dict().items()} for m in (edited, shell)]
    claim(shapes[0] == shapes[1], edit, "gives another structure on meta than with weights")
    again = config.build()
    edit.build(again)
    again.load_state_dict(edited.state_dict())
    claim(same(run(again), out), edit, "a model of the same config, edit and weights gives another output")
    if exact is not None:
        gap = (out - plain).abs().max() if out.shape == plain.shape else float("inf")
        claim(gap <= exact, edit, f"changes the output by {gap:.3g}, allowed {exact:.3g}")


def check_handler(
    handler: Handler, model: Any, site: str, run: Callable[[Any], Tensor], *, changes: bool = True
) -> None:
    """The promises of a handler at `site` of `model`. run: calls the model, gives its output.

    Installing it twice in a row gives the same output, nothing of it is left behind, and it changes the output if, and
    only if, `changes`.
    """
    with use_step(STEP):
        plain = run(model)
        outs = []
        for _ in range(2):
            with install(model, {site: copy.deepcopy(handler)}):
                outs.append(run(model))
        claim(ATTRIBUTE not in model.__dict__ and same(run(model), plain), handler, "leaves a trace on the model")
    claim(finite(outs[0]), handler, "gives an output that is not finite")
    claim(same(outs[0], outs[1]), handler, "gives another output when it is installed afresh")
    claim(same(outs[0], plain) != changes, handler,
          f"{name_of(model)} at {site}: " + ("changes nothing" if changes else "changes the output"))  # fmt: skip
