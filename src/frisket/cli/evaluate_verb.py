"""`frisket evaluate CKPT`: every measure that fits a trained model, each with its interval and its floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from frisket.cli.options import parse
from frisket.cli.targets import data_of, load_on

ABOUT = "Score a trained model on held-out data: intervals by bootstrap, and beside each value what real data scores."


@dataclass
class Evaluate:
    checkpoint: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CHECKPOINT")]
    """run folder, model folder or hub id"""
    data: str | None = None
    """data set to score against; default: the one the run learnt from"""
    n: int = 500
    """samples to make, and held-out items to use"""
    seed: int = 0
    """seed of samples and evaluation noise"""
    out: str | None = None
    """also write the results to this JSON file"""


def main(argv: list[str]) -> int:
    from frisket.core.files import write_json
    from frisket.evaluation.compare import number
    from frisket.experiments.measures import LEAST, bound, held_out, scorable, score_samples

    options, _ = parse(Evaluate, argv, "evaluate", ABOUT)
    pipeline = load_on(options.checkpoint, "cpu")
    data = data_of(options.checkpoint, options.data, pipeline.info)
    loss = held_out(pipeline, data, options.n, options.seed)
    results: dict = {"held_out_loss": loss.as_dict()}
    rows = [("held-out loss", loss.mean.value, loss.mean.low, loss.mean.high, None)]
    if hasattr(pipeline.process, "nelbo"):
        results["likelihood"] = bound(pipeline, data, options.n, options.seed)
        entry = results["likelihood"]["bits"]
        rows.append(("bits an element (bound)", entry["value"], entry["low"], entry["high"], entry["floor"]))
    if pipeline.info.kind == "image" and not scorable(data.open("test").info):
        print(f"samples are not scored: the test split holds fewer than {LEAST} images")
    elif pipeline.info.kind == "image":
        results["samples"] = score_samples(pipeline, data, n=options.n, seed=options.seed)
        for entry in results["samples"]["metrics"].values():
            rows.append((entry["title"], entry["value"], entry["low"], entry["high"], entry["floor"]))
    for name, value, low, high, floor in rows:
        beside = "" if floor is None else f"   floor {number(floor)}"
        print(f"{name:<28}{number(value):>10}   [{number(low)}, {number(high)}]{beside}")
    if options.out:
        write_json(options.out, results)
        print(f"wrote {options.out}")
    return 0
