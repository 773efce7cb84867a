"""The command that tries a training for some seconds and says what all of it takes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import tyro

from ..core.protocol.config import DEFAULT_PRESET, PresetName, TrainConfig
from ..core.protocol.estimate_text import sentence
from ..core.protocol.events import Estimated, Failed, Finding, Stage, error_of
from ..core.protocol.progress import Step
from ..core.protocol.spec import JobSpec
from ..core.splats.region import region_from_words
from ..jobs.estimation import POLL_SECONDS, Estimation
from ..jobs.start_file import start_of
from .chosen_engine import chosen_engine
from .terminal import print_findings, progress_bar


def estimate(
    dataset: tyro.conf.Positional[Path],
    config: Annotated[TrainConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = TrainConfig(),  # noqa: B008 (a frozen default)
    preset: PresetName = DEFAULT_PRESET,
    engine: str = "",
    exclude: tuple[str, ...] = (),
    start_file: Path | None = None,
    region: str = "",
) -> int:
    """Estimate minutes, memory and disk of a training by running about fifty steps of it. Exit status 1 when it does
    not fit, with the setting that would make it fit.

    Args:
        dataset: folder with the images and their cameras
        preset: settings that go together, as of train; flags that are given beside it count more
        engine: address of an engine on another computer, which tries it there, and keeps the images for the training
        exclude: images to leave out, by name or path, * for any letters; which views are held out stays as it is
        start_file: splats to begin with, as of train
        region: a box outside of which only the background grows, as of train
    """
    place = chosen_engine(Path.cwd(), engine)
    making = place.estimate(JobSpec(dataset.resolve(), config.validate(), exclude=exclude,
                                    start_file=start_of(start_file) if start_file else None,
                                    region=region_from_words(region).matrix if region else None))
    try:
        follow(making)
        events = making.events()
    finally:
        making.stop()
    for event in events:
        if isinstance(event, Failed):
            raise error_of(event)
    print(*(sentence(event) for event in events if isinstance(event, Estimated)))
    findings = [event for event in events if isinstance(event, Finding)]
    if findings:
        print_findings(findings)
    return int(any(finding.kind == "fit" for finding in findings))


def follow(making: Estimation) -> None:
    """Show how far it is until it is through."""
    with progress_bar() as on_progress:
        while making.running:
            stages = [event for event in making.events() if isinstance(event, Stage)]
            if stages:
                on_progress(Step(stages[-1].name, stages[-1].done, stages[-1].total))
            time.sleep(POLL_SECONDS)
