"""How a report looks, on a screen and on A4 paper.

Keeps: nothing is told by color alone, so that a black-and-white print says the same; fonts are those of the reader's
machine.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #16202a;
  font: 15px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 900px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 27px; line-height: 1.25; margin: 4px 0 2px; }
h2 { font-size: 18px; margin: 30px 0 8px; padding-bottom: 3px; border-bottom: 2px solid #16202a; }
h3 { font-size: 15px; margin: 18px 0 4px; }
h1 span, h2 span, h3 span { font-weight: 500; color: #48535f; }
.kind { margin: 0; font-size: 13px; letter-spacing: .04em; color: #48535f; }
.under { margin: 0; color: #48535f; }
.story { font-size: 17px; line-height: 1.55; margin: 18px 0; }
.four { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; margin: 18px 0; }
.figure { border: 1px solid #97a1ab; border-top: 4px solid #16202a; padding: 10px 12px; }
.figure p { margin: 0; }
.figure .label { font-size: 13px; color: #48535f; }
.figure .value { font-size: 25px; font-weight: 650; line-height: 1.3; white-space: nowrap; }
.figure .exact { font-size: 12px; color: #48535f; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: 13px; margin: 6px 0 12px; }
th, td { text-align: left; vertical-align: top; padding: 3px 10px 3px 0; border-bottom: 1px solid #d5dade; }
thead th { border-bottom: 1.5px solid #16202a; }
tfoot td { border-top: 1.5px solid #16202a; border-bottom: 0; font-weight: 650; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
.facts th { width: 1%; padding-right: 28px; font-weight: 600; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; }
code { font-family: ui-monospace, "DejaVu Sans Mono", Consolas, monospace; font-size: .93em; overflow-wrap: anywhere; }
.note, .none { font-size: 13px; color: #48535f; margin: 4px 0 10px; }
svg { display: block; width: 100%; height: auto; margin: 6px 0; }
svg text { font-size: 12px; fill: #16202a; }
svg .axis { stroke: #16202a; stroke-width: 1; }
svg .grid { stroke: #d5dade; stroke-width: 1; }
svg .more { fill: #1d4e6b; stroke: #1d4e6b; }
svg .less { fill: #fff; stroke: #1d4e6b; stroke-width: 1.5; }
svg .strong { font-weight: 650; }
@media (max-width: 640px) { .four { grid-template-columns: repeat(2, 1fr); } section { overflow-x: auto; } }
@page { size: A4; margin: 16mm 15mm 18mm; }
@media print {
  body { font-size: 10.5pt; color: #000; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 18pt; } h2 { font-size: 13pt; margin-top: 16pt; break-after: avoid; } h3 { break-after: avoid; }
  .story { font-size: 11.5pt; }
  .figure .value { font-size: 16pt; } .figure .exact { font-size: 7.5pt; } .figure .label { font-size: 8.5pt; }
  table { font-size: 8pt; } .note, .none { font-size: 8.5pt; }
  thead { display: table-header-group; } tfoot { display: table-row-group; } tr, .figure, svg { break-inside: avoid; }
  .first { break-after: page; }
  .kind, .under, .label, .exact, .note, .none, h1 span, h2 span, h3 span { color: #333; }
}
"""
