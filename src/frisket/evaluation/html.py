"""The page of a report: typography, light and dark, no script, nothing fetched."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frisket.evaluation.report import Report, Section, Table

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #24211d; --soft: #6d675f; --rule: #ddd7cc; --panel: #f2eee6;
  --accent: #b0432a; --c1: #b0432a; --c2: #2f6f8f; --c3: #6b7f2a; --c4: #8a5aa8; --c5: #b7862b; --c6: #4d5b6b; }
@media (prefers-color-scheme: dark) { :root { --paper: #191816; --ink: #e9e4da; --soft: #a39b8e; --rule: #3d3932;
  --panel: #232119; --accent: #ea8a68; --c1: #ea8a68; --c2: #74b3d1; --c3: #b3c56a; --c4: #c39bdd; --c5: #e2b961;
  --c6: #a9b7c7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", "Helvetica Neue",
  "Liberation Sans", Arial, sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 3.2rem 1.5rem 5rem; }
h1, h2 { font-family: "Iowan Old Style", Palatino, "Palatino Linotype", "Liberation Serif", Georgia, serif;
  font-weight: 600; line-height: 1.2; text-wrap: balance; }
h1 { font-size: 2.35rem; margin: 0 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.4rem; margin: 3rem 0 .7rem; padding-top: 1.1rem; border-top: 1px solid var(--rule); }
p { margin: .5rem 0; max-width: 44rem; }
.kicker { color: var(--accent); font-size: .78rem; letter-spacing: .13em; text-transform: uppercase; margin: 0 0 .6rem;
} .summary { font-size: 1.12rem; color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; margin: 1.1rem 0 0; padding: 0; list-style: none;
  font-size: .9rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.facts b { color: var(--ink); font-weight: 600; }
figure { margin: 1.2rem 0; overflow-x: auto; }
figcaption, .note { color: var(--soft); font-size: .88rem; margin-top: .5rem; max-width: 44rem; }
svg.chart { width: 100%; height: auto; max-width: 52rem; display: block; }
svg.chart text { font-family: system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif !important; }
.scroll { overflow-x: auto; }
table.data { border-collapse: collapse; width: 100%; margin: 1rem 0 .3rem; font-size: .94rem;
  font-variant-numeric: tabular-nums; }
table.data th { text-align: left; font-weight: 600; color: var(--soft); font-size: .82rem; padding: .35rem .8rem .35rem
0; border-bottom: 1.5px solid var(--ink); white-space: nowrap; vertical-align: bottom; }
table.data td { padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--rule); vertical-align: baseline; }
table.data .right { text-align: right; white-space: nowrap; }
table.images { border-collapse: separate; border-spacing: 4px; }
table.images td { padding: 0; }
table.images th { font-weight: 500; font-size: .84rem; color: var(--soft); padding: 0 .2rem; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
table.images th[scope=row] { text-align: right; padding-right: .6rem; }
table.images img { display: block; width: 64px; height: auto; border-radius: 3px; box-shadow: 0 0 0 1px var(--rule); }
table.images img:not(.pixel) { width: 112px; }
img.pixel { image-rendering: pixelated; }
svg.bar { vertical-align: middle; } svg.bar line { stroke: var(--rule); stroke-width: 1; }
svg.bar .range { stroke: var(--c1); stroke-width: 3; stroke-linecap: round; opacity: .55; }
svg.bar .floor { stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 3 2; } svg.bar circle { fill: var(--c1); }
pre { background: var(--panel); padding: .9rem 1.1rem; border-radius: 6px; overflow-x: auto; font: .86rem/1.5
ui-monospace, "Cascadia Mono", "Liberation Mono", Menlo, monospace; margin: .5rem 0; }
pre.sample { white-space: pre-wrap; overflow-wrap: anywhere; }
.sample-label { color: var(--soft); font-size: .84rem; margin: 1rem 0 0; }
details { margin: .9rem 0; } summary { cursor: pointer; font-weight: 600; }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; }
@media print { details > * { display: block; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def page(report: Report) -> str:
    """The whole page as text."""
    sections = "\n".join(_section(s) for s in report.sections)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.title)}</title><style>{STYLE}</style></head>
<body><main>
<header><p class="kicker">frisket report</p><h1>{escape(report.title)}</h1>
{f'<p class="summary">{escape(report.summary)}</p>' if report.summary else ""}
{_facts(report)}</header>
{sections}
{_again(report)}
</main></body></html>
"""


def _facts(report: Report) -> str:
    facts = [] if report.seed is None else [("seed", str(report.seed))]
    facts += [(name, duration(seconds)) for name, seconds in report.timings.items()]
    if not facts:
        return ""
    return f"<ul class='facts'>{''.join(f'<li>{escape(k)} <b>{escape(v)}</b></li>' for k, v in facts)}</ul>"


def _section(section: Section) -> str:
    text = "".join(f"<p>{escape(part)}</p>" for part in section.text.split("\n\n") if part.strip())
    samples = "".join(
        (f"<p class='sample-label'>{escape(label)}</p>" if label else "") + f"<pre class='sample'>{escape(body)}</pre>"
        for label, body in section.samples
    )
    figures = "".join(
        f"<figure>{f.markup}{f'<figcaption>{escape(f.caption)}</figcaption>' if f.caption else ''}</figure>"
        for f in section.figures
    )
    table = "" if section.table is None else _table(section.table)
    return f"<section><h2>{escape(section.title)}</h2>{text}{figures}{table}{samples}</section>"


def _table(table: Table) -> str:
    def cells(values: tuple[str, ...], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=right' if i in table.right else ''}>{escape(v)}</{tag}>" for i, v in enumerate(values)
        )

    marks = table.marks or ("",) * len(table.rows)
    extra = "<th></th>" if table.marks else ""
    body = "".join(
        f"<tr>{cells(row, 'td')}{f'<td>{mark}</td>' if table.marks else ''}</tr>"
        for row, mark in zip(table.rows, marks, strict=True)
    )
    note = f"<p class='note'>{escape(table.note)}</p>" if table.note else ""
    return (f"<div class='scroll'><table class='data'><thead><tr>{cells(table.columns, 'th')}{extra}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>{note}")  # fmt: skip


def _again(report: Report) -> str:
    parts = []
    if report.command:
        parts.append(f"<p>The same run again:</p><pre>{escape(report.command)}</pre>")
    if report.versions:
        versions = " · ".join(f"{escape(k)} {escape(v)}" for k, v in report.versions.items())
        parts.append(f"<p class='note'>{versions}</p>")
    if report.config:
        text = escape(json.dumps(report.config, indent=2, ensure_ascii=False))
        parts.append(f"<details><summary>Configuration</summary><pre>{text}</pre></details>")
    if report.citations:
        entries = escape("\n\n".join(c.strip() for c in report.citations))
        parts.append(f"<details><summary>Citations ({len(report.citations)})</summary><pre>{entries}</pre></details>")
    return f"<section><h2>Reproduce</h2>{''.join(parts)}</section>" if parts else ""


def duration(seconds: float) -> str:
    """Seconds in words a reader takes in at once: 0.8 s, 42 s, 3 min 5 s, 2 h 4 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
