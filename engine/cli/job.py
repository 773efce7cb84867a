"""`splatwright job`: one training in a container of a service for managed trainings."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import tyro

from ..core.errors import UserError
from ..core.files import disk_error
from ..core.protocol.spending import Price
from ..managed.parameters import read_parameters
from ..managed.places import Service, complete, places_of, with_options
from ..managed.run import Exit, JobEnding, run_managed, write_failure
from .terminal import print_error


def job(
    verb: tyro.conf.Positional[Literal["train"]] = "train",
    service: Service = "auto",
    input: str = "",
    parameters: str = "",
    checkpoints: str = "",
    model: str = "",
    failure: str = "",
    settings: tuple[str, ...] = (),
    work: Path | None = None,
    price_per_hour: float = 0.0,
    currency: str = "$",
    root: Path = Path("/"),
) -> int:
    """Train once, as services for managed trainings run it: input, settings, checkpoints, result and failure where they expect them.

    SIGTERM writes a checkpoint within 30 seconds; started again, on another machine too, it goes on from there. Exit status: 0 done, 1
    failed (try again), 2 input or settings that cannot be trained, 75 interrupted (start again).

    Args:
        verb: the word that SageMaker gives to every container
        service: whose places are used: sagemaker has them below /opt/ml, vertex names them in variables, folders has none of its own; auto
            finds out
        input: folder with the dataset, or with channels of which one holds it; gs:// names are found below /gcs, here and below
        parameters: file of JSON with the settings of the training: those of splatwright train, and preset, channel, format, axes, exclude
        checkpoints: folder that outlives the machine
        model: folder for the splats and the report
        failure: file for the sentence why the training did not come to its end
        settings: more of them as NAME=VALUE; these count more than the file
        work: folder for the training while it runs, which may be lost; default: a temporary one
        price_per_hour: what the machine costs, for a budget in money (budget_cost)
        currency: of the price
        root: where the folders of the services lie, for trying things out
    """
    places = with_options(places_of(service, os.environ, root), root, input=input, parameters=parameters, checkpoints=checkpoints,
                          model=model, failure=failure)
    write_failure(places.failure, None)
    try:
        tell(f"{places.service}: input {places.input}, checkpoints {places.checkpoints}, model {places.model}")
        if parameters and places.parameters is not None and not places.parameters.exists():
            raise UserError(f"The settings {places.parameters} are not there.", "Check the path, or leave --parameters out.")
        asked = read_parameters(places.parameters, settings)
        outcome = run_managed(complete(places), asked, Price(price_per_hour, currency), work, tell)
    except UserError as error:
        outcome = JobEnding(Exit.FAILED if error.code.startswith("disk.full") else Exit.BAD_INPUT, error)
    except OSError as error:
        outcome = JobEnding(Exit.FAILED, disk_error(Path(error.filename or root), error))
    if outcome.problem:
        print_error(outcome.problem)
        write_failure(places.failure, outcome.problem)
    return outcome.status


def tell(line: str) -> None:
    """One line of the log, which services collect."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
