"""Draws docs/images/caching.png from benchmarks/results/caching.json: error against compute and against time.

python docs/make_caching.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "caching.json"
PICTURE = ROOT / "docs" / "images" / "caching.png"
MARKS = {"dense": "s", "frisket": "o", "diffusers": "^", "cache-dit": "D"}


def draw(found: dict[str, Any], path: Path) -> None:
    """One panel for each kind of speed; a line joins the settings of one method."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    timed = all("times_as_fast" in r for r in found["points"])
    speeds = [("times less compute", lambda r: 1 / r["compute"])]
    if timed:
        speeds.append(("times as fast, by processor time", lambda r: r["times_as_fast"]["processor"]))
    figure, panels = plt.subplots(1, len(speeds), figsize=(6.5 * len(speeds), 5), sharey=True, squeeze=False)
    methods: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in found["points"]:
        if r["distance"] > 0:
            methods.setdefault((r["family"], r["method"]), []).append(r)
    for panel, (label, speed) in zip(panels[0], speeds, strict=True):
        for k, ((family, method), rows) in enumerate(methods.items()):
            rows = sorted(rows, key=speed)
            panel.plot(
                [speed(r) for r in rows], [r["distance"] for r in rows], marker=MARKS[family], markersize=5,
                color=plt.get_cmap("tab20")(k % 20), linewidth=2 if family == "frisket" else 1,
                linestyle="-" if family in ("frisket", "dense") else "--", label=f"{family}: {method}",
            )  # fmt: skip
        panel.axvspan(1.5, 4, color="0.95", zorder=0)
        panel.set(xlabel=label, yscale="log")
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("distance to the dense run's samples, relative")
    panels[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    draw(json.loads(RESULT.read_text()), PICTURE)
