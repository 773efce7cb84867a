"""The command that looks at a dataset before any time is spent on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from ..core.datasets.dataset import Dataset
from ..core.datasets.read import read_dataset
from ..core.errors import UserError
from ..core.images.png import write_png
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import NEEDS
from ..core.protocol.spec import JobSpec
from ..remote.http import Address
from ..remote.upload import check_remotely, pack, quiet
from .chosen_engine import chosen_address
from .terminal import counted, print_findings, print_left_out


def check(
    dataset: tyro.conf.Positional[Path],
    config: Annotated[TrainConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = TrainConfig(),  # noqa: B008 (a frozen default)
    sheet: Path | None = None,
    engine: str = "",
    leave_out_strays: bool = False,
    exclude: tuple[str, ...] = (),
) -> int:
    """Check images, poses and start points of a dataset before training. Exit status 1 when training would be pointless.

    Args:
        dataset: folder with the images and their cameras
        config: settings of the training that it is meant for
        sheet: PNG file for a contact sheet of all images with the findings marked
        engine: address of an engine on another computer, which checks in place of this one, and keeps the images for the training
        leave_out_strays: leave out the few views whose cameras stand far away from all others, from now on: excluded.txt names them
        exclude: images to leave out, by name or path, * for any letters; which views are held out stays as it is
    """
    if leave_out_strays:
        print_left_out(dataset)
    address = chosen_address(engine)
    if address:
        return check_there(address, JobSpec(dataset, config.validate(), exclude=exclude), sheet)
    from ..estimate.budget import budget_here
    from ..preflight import check as look_for_trouble

    settings, start = config.validate(), time.monotonic()
    found = read_dataset(dataset, exclude)
    with counted("looking at images", len(found.views)) as tick:
        checked = look_for_trouble(found, tick, config=settings)
    needed, findings = budget_here(found, settings)
    print(summary(checked.usable, time.monotonic() - start))
    print(needed.sentence)
    print_findings([*checked.findings, *findings])
    if sheet:
        write_png(sheet, checked.sheet())
        print(f"contact sheet written to {sheet}")
    return 1 if checked.pointless else 0


def check_there(address: Address, spec: JobSpec, sheet: Path | None) -> int:
    """Let a remote engine look at the dataset, with its own memory and disk in mind."""
    if sheet:
        raise UserError("A remote engine sends findings, and no contact sheet.", "Leave out --sheet, or --engine.")
    findings = check_remotely(address, pack(spec, 0, quiet))
    for needed in (finding for finding in findings if finding.kind == NEEDS):
        print(needed.message)
    print_findings([finding for finding in findings if finding.kind != NEEDS])
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def summary(dataset: Dataset, seconds: float) -> str:
    """What was looked at, and how long it took."""
    points = len(dataset.points) if dataset.points else 0
    return (f"{len(dataset.train_views)} views to train on, {len(dataset.eval_views)} held out, {points} start points; "
            f"checked in {seconds:.1f} s")
