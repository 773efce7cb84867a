"""The settings of a managed training: a file of JSON whose values may all be texts, and NAME=VALUE of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from ..core.errors import UserError
from ..core.files import read_json
from ..core.former_names import SETTINGS
from ..core.parsing import parse_json
from ..core.protocol.config import DEFAULT_PRESET, PRESETS, TrainConfig
from ..core.splats.axes import Axes

SERVICES_OWN = ("sagemaker_", "_tuning_")
"""How the names of settings begin that services add for themselves."""

FORMATS = ("ply", "compressed.ply", "spz", "splat")


@dataclass(frozen=True)
class Parameters:
    """What a managed training is asked to do."""

    config: TrainConfig
    channel: str = ""
    format: str = "ply"
    axes: Axes = "SUPERSPLAT"
    exclude: tuple[str, ...] = ()


def read_parameters(file: Path | None, pairs: Iterable[str]) -> Parameters:
    """The settings of a file, where there is one, and those of NAME=VALUE, which count more. UserError for what is none."""
    values: dict[str, Any] = {}
    if file is not None and file.exists():
        values = read_json(file, "settings", "Write an object with the settings' names and values.")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"{pair!r} is no setting.", "Write NAME=VALUE, as max_steps=7000.")
        values[name.strip()] = value
    return parameters_from({name.strip().lstrip("-").replace("-", "_"): value for name, value in values.items()})


def parameters_from(values: Mapping[str, Any]) -> Parameters:
    """Settings from plain values or texts of them; names of services' own are passed over."""
    asked = {SETTINGS.get(name, name): plain(value) for name, value in values.items() if not name.startswith(SERVICES_OWN)}
    preset = chosen(asked.pop("preset", DEFAULT_PRESET), "preset", tuple(PRESETS))
    format = chosen(asked.pop("format", "ply"), "format", FORMATS)
    axes = chosen(asked.pop("axes", "SUPERSPLAT"), "axes", get_args(Axes))
    channel, exclude = str(asked.pop("channel", "")), asked.pop("exclude", ())
    known = {field.name: field.default for field in fields(TrainConfig)}
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise UserError(f"The settings contain {', '.join(unknown)}, which is no setting of a training.",
                        "Correct the name; the guide's page Settings lists them all. Others: preset, channel, format, axes, exclude.")
    settings = {name: typed(name, value, known[name]) for name, value in asked.items()}
    config = TrainConfig(**{**PRESETS[preset].settings, **settings}).validate()
    names = exclude.split(",") if isinstance(exclude, str) else exclude
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise UserError(f"exclude is {exclude!r}.", "Write names of images with commas between them.")
    return Parameters(config, channel, format, axes, tuple(name.strip() for name in names if name.strip()))


def plain(value: Any) -> Any:
    """A value that may be written as a text of JSON, as SageMaker hands all over: "7000", "true", "\\"full\\"\"."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError:
        return value.strip()


def chosen(value: Any, name: str, choices: tuple[str, ...]) -> Any:
    """One of a few words; UserError for another."""
    if value not in choices:
        raise UserError(f"{name} is {value!r}.", f"Choose one of: {', '.join(choices)}.")
    return value


def typed(name: str, value: Any, default: Any) -> Any:
    """A value as the setting wants it: whole numbers may be written as 7e3, and True as Python does."""
    if isinstance(default, bool):
        return {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower(), value)
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(default, str) and not isinstance(value, str):
        raise UserError(f"{name} is {value!r}.", "Write a word.")
    return value
