"""Writes what README.md takes from stored results (table of papers, time of the demo), docs/findings.md with what each
study found, and docs/images/demo.png from a run.

python docs/make_readme.py [--check] [--demo runs/dit-digits]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from frisket.experiments.evidence import paper_rows, stored

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FINDINGS = ROOT / "docs" / "findings.md"
HEAD = """# Findings

What the study of each paper found: every expectation that its claim raises, as the paired difference between two arms
over all seeds with its 95% interval, and the verdict of that interval. "Shown" is only said of a study in which every
line is. Made by `docs/make_readme.py` from `results/`, which `frisket verify NAME` writes; those files hold all arms
with their costs, each seed's value, and the data's digest.
"""


def papers_table() -> str:
    """One row a recipe: marks from evidence, and what its study found, in numbers."""
    lines = ["| recipe | paper | works | counts | parity | effect |", "|---|---|---|---|---|---|"]
    for row in paper_rows():
        link = f"[{row['title']}](https://arxiv.org/abs/{row['arxiv']})"
        cells = (f"`{row['name']}`", link, row["works"], row["counts"], row["parity"], row["effect"])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def findings() -> str:
    """A section for each measured recipe: its claim, the study's note, and a line for each judged expectation."""
    out = [HEAD]
    for row in paper_rows():
        evidence = stored(row["name"])
        if evidence is None or "effect" not in evidence:
            continue
        effect = evidence["effect"]
        equal = "" if effect["budget"] in effect["note"].lower() else f" Held equal: {effect['budget']}."
        out.append(f"## {row['name']}: {row['effect']}\n\n*{evidence['claim']}*\n\n{effect['note']}{equal}\n")
        out.append("| measure | arm | minus | difference | 95% interval | verdict |\n|---|---|---|---|---|---|")
        for found in effect["expected"]:
            d = found["difference"]
            out.append(
                f"| {found['measure']}, expected {found['relation']} | {found['arm']} | {found['other']} | {d['value']:+.3g} | "
                f"{d['low']:+.3g} to {d['high']:+.3g} | {found['verdict']} |"
            )
        out.append("")
    return "\n".join(out)


def filled(text: str) -> str:
    """README with its marked blocks written anew."""
    for mark, made in (("papers", papers_table()), ("demo", demo_time())):
        pattern = rf"(<!-- {mark}: [^\n]*-->\n).*?(<!-- /{mark} -->)"
        text = re.sub(pattern, lambda m, made=made: f"{m[1]}{made}\n{m[2]}", text, flags=re.S)
    return text


def demo_time() -> str:
    """How long the demo took where it was last measured."""
    stored = ROOT / "benchmarks/results/fresh_machine.json"
    if not stored.is_file():
        return "How long the demo takes on a fresh machine is not measured yet."
    found = json.loads(stored.read_text())
    (demo,) = [c for c in found["commands"] if c["command"] == "make demo"]
    return (
        f"The demo took {demo['seconds'] / 60:.1f} minutes in a new clone with a new environment, installation included "
        f"({found['machine']}); [docs/measured.md](docs/measured.md) has this and what else was measured."
    )


def picture(run: Path) -> None:
    """docs/images/demo.png: samples by class above, real digits and their repainted lower halves below."""
    import torch

    from frisket.core.files import load_tensors
    from frisket.evaluation.pictures import save_picture, sheet

    held = load_tensors(run / "shown.safetensors")
    samples = held["samples"].unflatten(0, (-1, 10)).transpose(0, 1).flatten(0, 1)  # classes in rows
    before, after = held["before"], held["after"]
    hidden = before.clone()
    hidden[:, :, before.shape[2] // 2 :] = 0.5
    left = sheet(samples, 10, least=40)
    right = sheet(torch.stack([before, hidden, after], 1).flatten(0, 1), 3, least=50)
    gap = left.new_ones(left.shape[0], left.shape[1], 24)
    right = torch.nn.functional.pad(right, (0, 0, 0, left.shape[1] - right.shape[1]), value=1.0)
    save_picture(ROOT / "docs/images/demo.png", torch.cat([left, gap, right], 2))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    parser.add_argument("--demo", type=Path, help="folder of a demo's run, to draw the picture from")
    options = parser.parse_args()
    made = {README: filled(README.read_text()), FINDINGS: findings()}
    if options.check:
        return int(any(not page.is_file() or page.read_text() != text for page, text in made.items()))
    for page, text in made.items():
        page.write_text(text)
    if options.demo:
        picture(options.demo)
    return 0


if __name__ == "__main__":
    sys.exit(main())
