"""The page itself. Everything that comes from files is escaped; nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from html import escape
from typing import Any

from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Failed, Finished
from ..core.text import duration
from .curves import chart
from .record import TrainingRecord
from .strips import FULL_ERROR, HEAT, Strip, data_uri
from .style import STYLE

ENGINES = {"cpu": "Processor", "cuda": "NVIDIA card"}


def page(record: TrainingRecord, strips: list[Strip], note: str = "") -> str:
    """The whole document. `note` says why there are no strips, where there are none."""
    parts = (_head(record), _tiles(record), _curves(record), _views(record, strips, note), _findings(record), _settings(record))
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(record.name)}: training report</title><style>{STYLE}</style></head>\n<body>\n"
            + "\n".join(part for part in parts if part) + "\n</body></html>\n")


def _head(record: TrainingRecord) -> str:
    state, sentence = _state(record)
    return (f'<h1>{escape(record.name)}</h1><p class="state {state}">{escape(sentence)}</p>'
            f'<p class="soft">Trained from {escape(record.dataset)}</p>')


def _state(record: TrainingRecord) -> tuple[str, str]:
    match record.ended:
        case Finished(stopped=True):
            return "warning", f"Stopped after {record.ended.step:,} of {record.config.max_steps:,} steps"
        case Finished():
            return "good", f"Finished after {record.ended.step:,} steps"
        case Failed():
            return "error", f"Failed: {record.ended.message} {record.ended.hint}"
        case _:
            return "warning", f"At step {record.step:,} of {record.config.max_steps:,}: the training has not ended"


def _tiles(record: TrainingRecord) -> str:
    report, tiles = record.report, []
    views = len(report.get("views", ())) or report.get("eval_views", 0)
    if report.get("psnr") is not None:
        measured_on = f"mean of {views} held-out view{'' if views == 1 else 's'}"
        tiles += [(f"{report['psnr']:.2f} dB", f"PSNR, {measured_on}"), (f"{report['ssim']:.4f}", f"SSIM, {measured_on}")]
    elif record.psnr:
        tiles.append((f"{record.psnr[-1][1]:.2f} dB", f"PSNR on held-out views at step {record.psnr[-1][0]:,.0f}"))
    gaussians = report.get("gaussians") or (record.gaussians[-1][1] if record.gaussians else None)
    tiles += [(f"{gaussians:,.0f}", "Gaussians")] if gaussians else []
    tiles += [(duration(report["seconds"]), "of training")] if "seconds" in report else []
    tiles += [(ENGINES.get(record.started.backend, record.started.backend), "engine")] if record.started else []
    shown = "".join(f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in tiles)
    return f'<div class="tiles">{shown}</div>{_measured(record)}'


def _measured(record: TrainingRecord) -> str:
    """What the figures are of."""
    report = record.report
    if not report:
        return '<p class="soft">There is no result yet, so nothing is said about its quality.</p>'
    if report.get("psnr") is None:
        return ('<p class="state warning">No view was held out: the quality was not measured.</p>'
                '<p class="soft">Figures on images that were trained on would flatter.</p>')
    return ('<p class="soft">Measured on views that the training never saw, on result.ply as it was read back from the disk '
            f"(SHA-256 <code>{escape(str(report.get('sha256', 'not recorded')))}</code>).</p>")


def image_sizes(config: TrainConfig) -> dict[int, str]:
    """Steps at which the images grow: their details are harder than what was learned so far, and the loss rises there."""
    halves, whole = (round(share * config.planned_steps) for share in (config.quarter_until, config.half_until))
    return {**({halves: "half size"} if halves < whole else {}), whole: "full size"}


def _curves(record: TrainingRecord) -> str:
    charts = (chart("PSNR on held-out views", record.psnr, 2, " dB"), chart("SSIM on held-out views", record.ssim, 4),
              chart("Loss on trained images", record.loss, 4, turns=image_sizes(record.config)), chart("Gaussians", record.gaussians, 0),
              chart("Steps a second", record.rate, 1))
    shown = "".join(charts)
    return f'<h2>Curves over the steps</h2><div class="charts">{shown}</div>' if shown else ""


def _views(record: TrainingRecord, strips: list[Strip], note: str) -> str:
    views = record.report.get("views", [])
    heading = "<h2>Held-out views</h2>"
    if not strips:
        return f'{heading}<p class="soft">{escape(note)}</p>{_table_of_views(views)}' if note else ""
    count = f"{len(strips)} of {len(views)} views, worst first" if len(views) > len(strips) else "Worst first"
    colours = ", ".join(f"rgb({', '.join(f'{part:.0f}' for part in colour)})" for colour in HEAT)
    scale = f'0<span class="scale" style="background: linear-gradient(to right, {colours})"></span>{FULL_ERROR:.0%} and more'
    legend = f'<div class="names soft"><span>{count}</span><span>Error, mean difference of the colours: {scale}</span></div>'
    return heading + legend + "".join(_strip(strip) for strip in strips) + _table_of_views(views)


def _strip(strip: Strip) -> str:
    names = (("Truth", strip.truth), ("Render", strip.render), ("Error", strip.error))
    view = escape(strip.score.name)
    shown = "".join(f'<figure><img alt="{name} of {view}" src="{data_uri(png)}"><figcaption>{name}</figcaption></figure>'
                    for name, png in names)
    return (f'<section class="view"><header><b>{view}</b><span>PSNR {strip.score.psnr:.2f} dB · '
            f'SSIM {strip.score.ssim:.4f}</span></header><div class="strip">{shown}</div></section>')


def _table_of_views(views: list[dict[str, object]]) -> str:
    if not views:
        return ""
    rows = "".join(f'<tr><td>{escape(str(view["name"]))}</td><td class="number">{view["psnr"]:.2f}</td>'
                   f'<td class="number">{view["ssim"]:.4f}</td></tr>' for view in views)
    return (f"<details><summary>Every held-out view</summary><table><tr><th>View</th>"
            f'<th class="number">PSNR in dB</th><th class="number">SSIM</th></tr>{rows}</table></details>')


def _findings(record: TrainingRecord) -> str:
    rows = "".join(f'<div class="finding {finding.severity}"><b>{finding.severity}</b> · {escape(finding.message)}'
                   f'<div class="soft">{escape(finding.hint)}</div></div>' for finding in record.findings)
    return f"<h2>Findings</h2>{rows or '<p class=soft>Nothing was found to be wrong.</p>'}"


def _settings(record: TrainingRecord) -> str:
    standard, report = asdict(TrainConfig()), record.report
    settings = [(name, str(value), value != standard[name]) for name, value in asdict(record.config).items()]
    changed = [setting for setting in settings if setting[2]] or [("none, all are as usual", "", False)]
    facts = {"Seed": str(record.config.seed), **_counts(record), **_timings(report), **report.get("versions", {})}
    return ("<h2>How it was made</h2>"
            f'<div class="pair"><div>{_table((name, str(value), False) for name, value in facts.items())}</div>'
            f"<div>{_table(changed, 'Settings that were changed')}"
            f"<details><summary>Every setting</summary>{_table(settings)}</details></div></div>")


def _counts(record: TrainingRecord) -> dict[str, str]:
    started = record.started
    return {"Images trained on": str(started.train_views), "Images held out": str(started.eval_views)} if started else {}


def _timings(report: dict[str, Any]) -> dict[str, str]:
    if "seconds" not in report:
        return {}
    return {"Training": duration(report["seconds"]), "Steps a second, mean": f"{report['step'] / max(report['seconds'], 1e-9):.1f}",
            "Measuring the result": duration(report.get("seconds_to_measure", 0.0))}


def _table(rows: Iterable[tuple[str, str, bool]], heading: str = "") -> str:
    lines = (f'<tr{" class=changed" if changed else ""}><td>{escape(name)}</td><td class="number">{escape(value)}</td></tr>'
             for name, value, changed in rows)
    first = f'<tr><th colspan="2">{heading}</th></tr>' if heading else ""
    return f"<table>{first}{''.join(lines)}</table>"
