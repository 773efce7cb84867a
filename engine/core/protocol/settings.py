"""Settings that people see: a dataclass's fields with label, sentence and range in their metadata, checked against them in one place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, get_args

from ..errors import UserError


class Settings(Protocol):
    """A dataclass whose fields are made by `setting`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class About:
    """What a setting is called, what it does, and what it may be."""

    label: str
    """in title case, for panels"""
    text: str
    """a sentence without capital and full stop, for tooltips and the command line's help"""
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    form: str = ""
    """regular expression of a text"""


def setting(default: Any, label: str, text: str, low: float | None = None, high: float | None = None, choices: Any = None,
            form: str = "") -> Any:
    """A field of a dataclass of settings. Numbers have a range, words their `choices`, a Literal, texts a `form`. tyro reads `help`."""
    return field(default=default, metadata={"help": text, "about": About(label, text, low, high, get_args(choices), form)})


def about(kind: type[Settings], name: str) -> About:
    """What a setting of a dataclass tells about itself; KeyError when there is none of that name."""
    return kind.__dataclass_fields__[name].metadata["about"]


def checked(settings: S) -> S:
    """The settings themselves, or UserError naming the first that is of another kind or out of range."""
    for name, found in settings.__dataclass_fields__.items():
        _check(name, getattr(settings, name), found.default, found.metadata["about"])
    return settings


def _check(name: str, value: Any, default: Any, known: About) -> None:
    if known.choices:
        if value not in known.choices:
            raise UserError(f"{name} is {value!r}.", f"Choose one of: {', '.join(known.choices)}.", "settings.choice", name=name,
                            value=value, choices=", ".join(known.choices))
    elif known.form:
        if not (isinstance(value, str) and re.fullmatch(known.form, value)):
            raise UserError(f"{name} is {value!r}.", "Leave it away, or take it unchanged from where it was written.", "settings.form",
                            name=name, value=value)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise UserError(f"{name} is {value!r}.", "Set it to true or false.", "settings.flag", name=name, value=value)
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"{name} is {value!r}, not a number.", "Give a number.", "settings.number", name=name, value=value)
    elif isinstance(default, int) and value != int(value):
        raise UserError(f"{name} is {value}, not a whole number.", "Give a whole number.", "settings.whole", name=name, value=value)
    elif known.low is not None and known.high is not None and not known.low <= value <= known.high:
        raise UserError(f"{name} is {value}.", f"Set it between {known.low} and {known.high}.", "settings.range", name=name, value=value,
                        low=known.low, high=known.high)


def settings_from_json(kind: type[S], values: Mapping[str, Any], what: str) -> S:
    """Settings from plain values, checked; missing names take their defaults. UserError for unknown names and bad values."""
    unknown = sorted(set(values) - set(kind.__dataclass_fields__))
    if unknown:
        raise UserError(f"The settings for {what} contain {', '.join(unknown)}, which this version does not know.",
                        "Use the newer version of Splatwright that wrote them, or remove them.", "settings.unknown", what=what,
                        unknown=", ".join(unknown))
    return checked(kind(**values))
