"""The plan that a training has followed, plan.json of its folder: all that its result depends on, to be repeated exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UserError
from ..files import read_shared, write_text
from ..parsing import parse_object
from .config import CHANGEABLE, TrainConfig, config_from_json, config_to_json

HINT = "Name plan.json of a training's job folder."

OF_THE_COMPUTER = (*CHANGEABLE, "eval_every", "preview_seconds", "checkpoint_seconds", "max_minutes")
"""Settings that the result does not depend on."""


@dataclass(frozen=True)
class Plan:
    """Settings that were settled, with the course that was taken, and the fingerprint of the dataset."""

    dataset: str
    config: TrainConfig


def write_plan(path: Path, plan: Plan) -> None:
    """UserError where the disk refuses."""
    write_text(path, json.dumps({"dataset": plan.dataset, "config": config_to_json(plan.config)}, indent=2))


def read_plan(path: Path) -> Plan:
    """The plan of a file. UserError where it is missing or damaged."""
    try:
        values = parse_object(read_shared(path))
        dataset, config = values["dataset"], values["config"]
        if not (isinstance(dataset, str) and isinstance(config, dict)):
            raise ValueError
        return Plan(dataset, config_from_json(config))
    except OSError as error:
        raise UserError(f"The plan {path} is not there.", HINT, "plan.missing", path=path) from error
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(f"The plan {path} is damaged.", HINT, "plan.damaged", path=path) from error


def repeated(plan: Plan, dataset: str, asked: TrainConfig) -> TrainConfig:
    """The settings that repeat a plan on this computer, with those of `asked` that the result does not depend on. UserError where the
    plan is of another dataset than the one with this fingerprint."""
    if plan.dataset != dataset:
        raise UserError("The plan was made for another dataset.", "Name the dataset that it was made for, or leave the plan away.",
                        "plan.other_dataset")
    return replace(plan.config, minutes=0.0, **{name: getattr(asked, name) for name in OF_THE_COMPUTER})
