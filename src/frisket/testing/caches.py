"""Caches: what any of them promises on any model, whatever it skips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frisket.caching.base import Cache
from frisket.core.sites import sited
from frisket.testing.claims import claim, finite, name_of, same
from frisket.testing.configs import check_config

Run = Callable[[Any], list[Tensor]]


def check_cache(cache: Cache, model: Any, run: Run, *, dense: bool = False) -> None:
    """The promises of a cache on `model`. run: one run of the model from its first step, the output of each step.

    It is a config; its first step is the plain one; a run after another gives the same as alone; the report counts every
    forward and no more multiply-adds than the plain run's; nothing of it is left behind. dense: it must change nothing.
    """
    check_config(cache)
    holder = sited(model)
    with torch.no_grad():
        plain = run(model)
        before = dict(model.__dict__)
        with cache.install(model) as report:
            first, second = run(model), run(model)
        claim(model.__dict__ == before and holder.sites() == sited(model).sites(), cache, "leaves a trace on the model")
        after = run(model)
    claim(all(map(same, plain, after)), cache, f"{name_of(model)} gives other outputs after it has gone")
    claim(all(map(finite, first)), cache, "gives an output that is not finite")
    claim(same(first[0], plain[0]), cache, "changes the first step, where nothing can be stored")
    claim(all(map(same, first, second)), cache, "carries something from one run to the next")
    claim(len(report.forwards) >= 2 * len(plain), cache, f"reports {len(report.forwards)} of {2 * len(plain)} forwards")
    claim(0 < report.share <= 1, cache, f"reports {report.share:.3g} of the plain run's multiply-adds")
    if dense:
        claim(all(map(same, first, plain)) and report.share == 1, cache, "is no dense run, as it must be")
