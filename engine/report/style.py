"""How the page looks, by day and by night."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ground: #f6f6f4; --card: #fff; --ink: #1d1f23; --soft: #666c76; --rule: #dddfe3;
  --accent: #2563c4; --info: #2563c4; --warning: #a35b00; --error: #b3261e; --good: #1a7f4b; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --card: #1f2227; --ink: #e8e9ec; --soft: #9aa1ac; --rule: #363a42;
  --accent: #7cabf7; --info: #7cabf7; --warning: #efae55; --error: #f58b82; --good: #62c894; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 64px; max-width: 1180px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0; font-size: 27px; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 38px 0 12px; font-size: 18px; }
p { margin: 4px 0; } .soft { color: var(--soft); overflow-wrap: anywhere; }
code { font-size: 12.5px; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 10px; }
.tile, .chart, .view, .finding, table { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.tile { padding: 12px 16px; } .tile b { display: block; font-size: 23px; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 12px; }
.chart { margin: 0; padding: 12px 14px 4px; } .chart svg { width: 100%; height: auto; display: block; }
.chart figcaption { display: flex; justify-content: space-between; } .chart text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--rule); stroke-width: 1; } .turn { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.line { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; }
.mark { fill: var(--accent); }
.view { margin: 0 0 12px; padding: 12px 14px 14px; }
.view header, .names { display: flex; justify-content: space-between; gap: 12px; flex-wrap: wrap; }
.view header span { font-variant-numeric: tabular-nums; color: var(--soft); }
.strip { display: grid; grid-template-columns: repeat(3, 1fr); gap: 6px; margin-top: 8px; }
.strip figure { margin: 0; } .strip img { width: 100%; display: block; border-radius: 5px; background: #000; }
.strip figcaption { color: var(--soft); font-size: 12.5px; margin-top: 2px; }
.scale { display: inline-block; width: 120px; height: 10px; border: 1px solid var(--rule); border-radius: 5px; margin: 0 6px; }
.finding { padding: 10px 14px; margin-bottom: 8px; border-left-width: 5px; }
.finding.info { border-left-color: var(--info); } .finding.warning { border-left-color: var(--warning); }
.finding.error { border-left-color: var(--error); } .finding b { text-transform: capitalize; }
.state { font-weight: 600; }
.state.good { color: var(--good); } .state.error { color: var(--error); } .state.warning { color: var(--warning); }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-variant-numeric: tabular-nums; }
td, th { padding: 5px 14px; border-top: 1px solid var(--rule); text-align: left; } tr:first-child > * { border-top: 0; }
td.number, th.number { text-align: right; } tr.changed td { font-weight: 650; }
summary { cursor: pointer; margin: 10px 0; color: var(--accent); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 12px; align-items: start; }
@media (max-width: 560px) { .strip { grid-template-columns: 1fr; } .charts, .pair { grid-template-columns: 1fr; } }
@media print { body { max-width: none; } .view, .chart { break-inside: avoid; } }
"""
