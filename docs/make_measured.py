"""Writes docs/measured.md: what benchmarks/results/ holds, as tables. Every number of the page comes from there.

python docs/make_measured.py [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "measured.md"
RESULTS = ROOT / "benchmarks" / "results"
HEAD = """# Measured

What `benchmarks/` measured, with the command that repeats it. Times of two arms are only ever compared within one run,
where they take turns; other work on the machine changes both. Made by `docs/make_measured.py` from
`benchmarks/results/`. What is shown of each paper is in the README's table and in `results/`.
"""
Found = dict[str, Any]


def table(columns: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def arms(rows: list[Found]) -> str:
    """Arms of a side-by-side timing: how many times as fast as the first, and the share of the matmul peak."""
    cells = [
        [
            r["arm"], f"{1000 * r['seconds']:.1f}", f"{r['times_as_fast']['median']:.2f}",
            f"{r['times_as_fast']['lower']:.2f} to {r['times_as_fast']['upper']:.2f}", f"{r['share_of_peak']:.0%}",
        ]
        for r in rows
    ]  # fmt: skip
    return table(["arm", "ms", "times as fast", "quartiles", "share of matmul peak"], cells)


def machine(found: Found) -> str:
    m = found["machine"]
    return (
        f"{m['processor']}, {m['cores']} cores, {m['threads']} threads, torch {m['torch']}, diffusers {m['diffusers']}."
    )


WANTED = (  # case, kind, arm, least times as fast as diffusers as it is
    ("DiT-S/2", "forward", "frisket", 1.0),
    ("DiT-S/2", "step", "frisket", 1.0),
    ("DiT-S/2", "forward", "frisket, blocks compiled", 1.25),
    ("DiT-S/2", "step", "frisket, blocks compiled, own AdamW", 1.12),
    ("digits", "step", "frisket, blocks compiled, own AdamW", 1.5),
)


def targets(found: Found) -> str:
    """What was wanted beforehand, and what came out."""
    rows = []
    for name, kind, arm, least in WANTED:
        (case,) = [c for c in found["cases"] if c["case"].startswith(name)]
        (row,) = [r for r in case[kind]["rows"] if r["arm"] == arm]
        got = row["times_as_fast"]["median"]
        verdict = "reached" if got >= least else f"not reached, at {row['share_of_peak']:.0%} of the matmul peak"
        rows.append([f"{name}, {kind}", arm, f"{least:.2f}", f"{got:.2f}", verdict])
    return table(["what", "arm", "wanted", "median", "verdict"], rows)


def train_step(found: Found) -> Iterator[str]:
    yield f"A forward pass and a training step beside diffusers' `DiTTransformer2DModel`. {machine(found)}"
    for case in found["cases"]:
        for kind, word in (("forward", "forward"), ("step", "training step")):
            yield f"### {case['case']}, batch {case['batch']}: {word}"
            yield arms(case[kind]["rows"])
    yield "### What was wanted"
    yield targets(found)


def sample(found: Found) -> Iterator[str]:
    yield f"Guided DDIM sampling with equal weights and noise, beside diffusers' model and scheduler. {machine(found)}"
    for case in found["cases"]:
        yield f"### {case['case']}, {case['batch']} samples, {case['steps']} steps"
        yield arms(case["rows"])


def memory(found: Found) -> Iterator[str]:
    names = {
        "recompute": "recomputed activations",
        "accumulate": "accumulated gradients",
        "sampling": "sampling in 8 batches",
    }
    rows = []
    for name, title in names.items():
        before, after = found[name]["above_start_mib"]
        apart = max(found[name]["relative_difference"].values())
        rows.append([title, f"{before:.0f}", f"{after:.0f}", f"{found[name]['share']:.0%}", f"{apart:.1g}"])
    yield "Peak resident memory above what was there before the work; what is computed must stay the same."
    yield table(["what saves memory", "MiB before", "MiB after", "share", "relative difference of the result"], rows)
    p = found["profile"]
    yield (
        f"Sampling {p['digits']:,} digits in batches of {p['batch']}: resident memory grows by {p['growth']:.1f} MiB after "
        f"the first batch, by {p['growth_second_half']:.1f} MiB in the second half."
    )


def precision(found: Found) -> Iterator[str]:
    rows = []
    for name, loss in found["losses"].items():
        ratio = found["relative_to_fp32"].get(name)
        apart = "" if ratio is None else f"{ratio['value']:+.2%} ({ratio['low']:+.2%} to {ratio['high']:+.2%})"
        rows.append([name, f"{loss['value']:.4f}", apart])
    yield f"`dit` at {found['size']}, {found['steps']:,} steps, on {found['device']}; wanted: {found['wanted']}."
    yield table(["precision", "held-out loss", "against fp32"], rows)


def soak(found: Found) -> Iterator[str]:
    rows = [[kind, str(count)] for kind, count in found["kills_while"].items()]
    yield (
        f"{found['kills']} times SIGKILL over {found['runs']} runs, the same command again until each ended: "
        f"**{found['files_that_differ']} files differ** from an undisturbed run's, of {found['bytes_compared']:,} bytes."
    )
    yield table(["killed while", "times"], rows)


def scenes(found: Found) -> Iterator[str]:
    rows = [
        [k, f"{found[k]['wall median']:,}", f"{found[k]['processor median']:,}"] for k in ("rgb", "batch with captions")
    ]
    yield "Scenes of 32x32 drawn a second on one thread."
    yield table(["what", "by the clock", "by processor time"], rows)


def caching(found: Found) -> Iterator[str]:
    yield (
        f"Caches on one trained model ({found['model']}), {found['steps']} Euler steps guided at {found['guidance']}, all "
        f"on diffusers' `DiTTransformer2DModel` with the same weights and noise, {found['samples']} samples. {machine(found)} "
        "Distance: of final states to those of the dense run, relative. Compute: multiply-adds as a share of the dense "
        "run's. Times as fast: by processor time, within this run."
    )
    if (ROOT / "docs" / "images" / "caching.png").is_file():
        yield "![Error against compute and against time](images/caching.png)"
    timed = all("times_as_fast" in r for r in found["points"])
    rows = [
        [
            r["family"], f"{r['method']}, {r['setting']}", f"{r['compute']:.3f}",
            f"{r['times_as_fast']['processor']:.2f}" if timed else "", f"{r['distance']:.4f}", f"{r['frechet']:.2f}",
        ]
        for r in found["points"]
    ]  # fmt: skip
    yield table(["whose", "arm", "compute", "times as fast", "distance", "Frechet"], rows)
    yield "The smallest error at a speed or above, and which methods reach a smaller one than frisket's caches do:"
    for name, speeds in found["frontiers"].items():
        ahead = [
            [
                f"{s['speed']:g}x", "none" if s["ours"] is None else f"{s['ours']:.4f} ({s['arm']})",
                ", ".join(f"{k} {s['others'][k]:.4f}" for k in s["behind"]) or "none",
            ]
            for s in speeds
        ]  # fmt: skip
        yield f"### {name[0].upper()}{name[1:]}"
        yield table(["speed", "frisket", "ahead of it"], ahead)
    if found["refused"]:
        yield "Refused, or without any effect on this model:"
        yield table(["arm", "reason"], [[r["arm"], r["reason"].replace("|", "/")] for r in found["refused"]])
    if found["own_model"]:
        own = [[r["arm"], f"{r['times_as_fast']['processor']:.2f}"] for r in found["own_model"]]
        yield "frisket's caches on frisket's own model, by processor time:"
        yield table(["arm", "times as fast as its dense run"], own)


def startup(found: Found) -> Iterator[str]:
    names = {
        "import_torch": "`import torch`",
        "import_frisket_beyond_torch": "`import frisket` beyond it",
        "frisket_help": "`frisket --help`",
    }
    rows = [
        [title, f"{found[name]['median']:.2f}", f"{found[name]['least']:.2f} to {found[name]['most']:.2f}"]
        for name, title in names.items()
    ]
    yield "Seconds in fresh processes, median and range."
    yield table(["what", "s", "range"], rows)


def fresh_machine(found: Found) -> Iterator[str]:
    rows = [[f"`{c['command']}`", f"{c['seconds']:.0f}", str(c["exit_code"])] for c in found["commands"]]
    yield (
        "README's two commands in a new clone with a new environment and `HF_HUB_OFFLINE=1`. "
        f"{found['machine']}, {found['date']}."
    )
    yield table(["command", "seconds, installation included", "exit code"], rows)
    yield "Their words: [fresh-machine.log](fresh-machine.log)."
    yield "```{literalinclude} fresh-machine.log\n:language: text\n```"


def sparse_attention(found: Found) -> Iterator[str]:
    yield (
        "One attention call with some tiles left out, against torch's dense kernel in the same run; the output's relative "
        f"error with the best tiles, and with tiles chosen blindly. {machine(found)}"
    )
    rows = [
        [
            f"{size['tokens']:,}", r["arm"], f"{1000 * r['seconds']:.1f}", f"{r['times_as_fast']['median']:.2f}",
            f"{r['error']:.2g}" if "error" in r else "", f"{r['error_random_tiles']:.2g}" if "error" in r else "",
        ]
        for size in found["sizes"]
        for r in size["rows"]
    ]  # fmt: skip
    yield table(["tokens", "arm", "ms", "times as fast", "error", "error, random tiles"], rows)


def token_plans(found: Found) -> Iterator[str]:
    rows = [
        [
            r["plan"], f"{r['theoretical']:.2f}", f"{r['measured']['median']:.2f}", f"{r['measured']['processor']:.2f}",
            f"{r['kept_of_the_saving']['processor']:.2f}", "reached" if r["reached"] else "not reached",
        ]
        for r in found["plans"]
    ]  # fmt: skip
    yield (
        "Forward and backward at DiT-S/2 with each plan, against the same network without it; times as fast as counted "
        f"FLOPs would have it, and as measured. Wanted: {found['goal']:.0%} of the theory. Batch {found['batch']}. "
        f"{machine(found)}"
    )
    yield table(["plan", "theory", "by the clock", "by processor time", "share of theory", "verdict"], rows)


def experts(found: Found) -> Iterator[str]:
    rows = [
        [
            r["arm"], f"{r['parameters'] / 1e6:.1f} M", f"{r['theoretical']:.2f}", f"{r['measured']['median']:.2f}",
            f"{r['measured']['processor']:.2f}", f"{r['of_theory']:.2f}",
        ]
        for r in found["arms"]
    ]  # fmt: skip
    falls = "falls with" if found["time_falls"] else "does not fall throughout with"
    yield (
        f"Forward and backward of DiT-S/2 with eight experts, all active as the measure; the time {falls} the number of "
        f"active ones. Batch {found['batch']}. {machine(found)}"
    )
    yield table(["active", "parameters", "theory", "by the clock", "by processor time", "share of theory"], rows)


def mixers(found: Found) -> Iterator[str]:
    mib = 2**20
    rows = [
        [
            f"{r['tokens']:,}", r["arm"], f"{1000 * r['forward']['seconds']:.1f}", f"{r['forward']['bytes'] / mib:.1f}",
            f"{1000 * r['both']['seconds']:.1f}", f"{r['both']['bytes'] / mib:.1f}", f"{r['macs'] / 1e6:.0f}",
        ]
        for r in found["rows"]
    ]  # fmt: skip
    yield f"One mixer layer of width {found['width']}: time and most memory at once. {machine(found)}"
    yield table(["tokens", "mixer", "forward ms", "MiB", "with backward ms", "MiB", "M operations"], rows)
    grown = [
        [e["arm"], e["cost"].replace("both", "with backward,").replace("forward", "forward,"), f"{e['all']:.2f}",
         f"{e['largest']:.2f}"]
        for e in found["exponents"]
    ]  # fmt: skip
    yield "How costs grow: the exponent of the number of tokens, over all sizes and over the three largest."
    yield table(["mixer", "cost", "all", "three largest"], grown)


def cifar(found: Found) -> Iterator[str]:
    rows = [
        [
            r["arm"], f"{r['steps']:,}", f"{1000 * r['step_seconds']:.1f}", f"{r['loss']:.4f}",
            f"{r['frechet']['value']:.2f}", f"{r['frechet']['low']:.2f} to {r['frechet']['high']:.2f}",
            f"{r['frechet']['floor']:.2f}",
        ]
        for r in found["arms"]
    ]  # fmt: skip
    device = found["machine"]["device"]
    yield f"{found['minutes']:g} minutes of training for every arm on {device}, {found['samples']:,} samples."
    yield table(["arm", "steps", "ms a step", "held-out loss", "Frechet", "interval", "training images"], rows)


def crossing(found: Found) -> Iterator[str]:
    costs = found["sections"][-1]["table"]
    yield (
        "Two kinds of methods on one system, each alone and each pair, with paired 95% intervals over seeds: what a "
        "method changes, what a pair changes beyond both, and at what cost. Of both measures less is better. The encoder of "
        "`repa` learns the labels of the same set, and so do the features of the Frechet distance, which favours it; the "
        "encoder's own training is no part of the FLOPs held equal."
    )
    for one in found["results"]["crossing"]:
        rows = [[name, said(d), "", ""] for name, d in one["alone"].items()]
        rows += [
            [f"{p['first']} + {p['second']}", said(p["effect"]), said(p["beyond"]), p["reading"]] for p in one["pairs"]
        ]
        yield table([one["measure"], "minus the baseline", "beyond the sum", "reading"], rows)
    yield table(costs["columns"], costs["rows"])


def said(d: Found) -> str:
    return f"{d['value']:+.3g} ({d['low']:+.3g} to {d['high']:+.3g})"


SECTIONS: dict[str, tuple[str, Callable[[Found], Iterator[str]]]] = {
    "train_step": ("Training speed", train_step),
    "sample": ("Sampling speed", sample),
    "caching": ("Caching", caching),
    "sparse_attention": ("Sparse attention", sparse_attention),
    "token_plans": ("Token plans", token_plans),
    "experts": ("Experts", experts),
    "mixers": ("Mixers", mixers),
    "crossing": ("Methods together", crossing),
    "cifar": ("CIFAR-10 by the clock", cifar),
    "memory": ("Memory", memory),
    "precision": ("Precision", precision),
    "soak": ("Resuming", soak),
    "scenes": ("Drawing scenes", scenes),
    "startup": ("Starting", startup),
    "fresh_machine": ("A fresh machine", fresh_machine),
}


def page() -> str:
    """The page; a benchmark without a stored result is left out."""
    parts = [HEAD.rstrip()]
    for name, (title, section) in SECTIONS.items():
        file = RESULTS / f"{name}.json"
        if file.is_file():
            found = json.loads(file.read_text())
            repeat = found.get("command", f"python -m benchmarks.{name}")  # the report of a verb says what made it
            parts += [f"## {title}", *section(found), f"Repeat: `{repeat}`."]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text() != page())
    PAGE.write_text(page())
