"""What a job tells whoever watches: frozen dataclasses, one JSON line each in events.jsonl.

Heavy data never travels in an event: an event names a file of the job folder.

Sentences are English. Beside them a Finding, a Failed, a Paused and a Started carry a code, which names the sentence, and the values
that it contains, so that an interface can say it in another language. Version 0.1.0 passes over an event that has fields it does not
know. So code and values are a line of their own, `{"event": "Coded", ...}`, before the line of their event: 0.1.0 passes over that alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import UserError, Values
from ..parsing import parse_json

Severity = Literal["info", "warning", "error"]
Fix = Literal["exclude", "include", "recapture", "convert", "cover", "relight", "finish", "settings"]
"""What a button can do about a finding: leave its images out, take all in again, capture again, convert, place more cameras, light
the scene anew, end the training with what it has, change the finding's settings."""

NEEDS = "needs"
"""Kind of the finding with which a check says what a training will take."""

CHECKPOINTS = "training.checkpoints"
"""Code of the begin of a training."""

SLOW_CHECKPOINTS = "training.slow_checkpoints"
"""Code of the finding that checkpoints take longer, and come less often, than that begin says."""

BUDGET_ENDED = "budget.job_ended"
"""Code of the finding that a training was stopped because its own budget is spent; its values `hours` and `cost` are that budget."""

ENGINE_BUDGET_ENDED = "budget.engine_ended"
"""Code of the finding that a job was stopped because the budget of its engine is spent."""

CODED = '{"event": "Coded"'
"""How the line begins that holds code and values of the event on the next line."""

MOST_IMAGES = 500
"""Images that one finding names: an event stays one line of a few ten thousand letters."""


@dataclass(frozen=True)
class Started:
    """A worker begins or goes on with the job. A training's `code` is CHECKPOINTS; its value `every` is the number of seconds of training
    that are repeated at most when the worker is cut off."""

    backend: str
    step: int
    max_steps: int
    train_views: int
    eval_views: int
    gaussians: int
    code: str = ""
    values: Values = ()


@dataclass(frozen=True)
class Progress:
    """Where the training is. `loss` is a running mean."""

    step: int
    max_steps: int
    loss: float
    gaussians: int
    steps_per_second: float
    eta_seconds: float


@dataclass(frozen=True)
class Stage:
    """Where work that is no training is: `done` of `total` (0: not known) are through the stage `name`."""

    name: str
    done: int
    total: int
    eta_seconds: float | None  # to the end of the stage


@dataclass(frozen=True)
class Posed:
    """The cameras of `placed` of so many photos are found, and with them so many points; `error` is in pixels."""

    placed: int
    photos: int
    points: int
    error: float


@dataclass(frozen=True)
class Preview:
    """A new preview.ply lies in the job folder."""

    step: int
    gaussians: int


@dataclass(frozen=True)
class Finding:
    """Something worth knowing about the data or the training, with what to do about it.

    `kind` is one word for programs, the same for several sentences about one thing, `measure` the figure behind the sentence (a share,
    stops, a count), `images` are the names of the views concerned, `settings` are those of a training that would mend it, as "name=value".
    """

    severity: Severity
    message: str
    hint: str = ""
    kind: str = ""
    measure: float | None = None
    images: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    settings: tuple[str, ...] = ()
    code: str = ""
    values: Values = ()


@dataclass(frozen=True)
class Estimated:
    """What a training will take on an engine, as a probe of it says. Bytes and seconds; 0 where there is no graphics card, or no price.

    `fastest` and `slowest` are what the seconds may turn out to be. `free_memory`, `free_card` and `free_disk` are what the training may
    take, `price_per_hour` is the engine's in its `currency`.
    """

    backend: str
    gaussians: int
    seconds: float
    fastest: float
    slowest: float
    memory: float
    free_memory: float
    card: float
    free_card: float
    disk: float
    free_disk: float
    price_per_hour: float = 0.0
    currency: str = ""


@dataclass(frozen=True)
class Evaluated:
    """Quality on held-out views (`views` of them; psnr in dB)."""

    step: int
    psnr: float
    ssim: float
    views: int


@dataclass(frozen=True)
class Paused:
    """The worker waits for control to say run or stop. `reason`: why it paused by itself; empty when it was asked to.

    `saved`: its checkpoint is written, so that nothing is lost when the worker is ended meanwhile.
    """

    step: int
    reason: str = ""
    saved: bool = True
    code: str = ""
    values: Values = ()


@dataclass(frozen=True)
class Finished:
    """What the job was for is written: result.ply, or the dataset of photos, whose placed photos `step` then counts.

    `stopped` tells whether somebody ended the run early; a training has its result then, photos have none.
    """

    step: int
    gaussians: int
    psnr: float | None
    ssim: float | None
    seconds: float
    stopped: bool


@dataclass(frozen=True)
class Failed:
    """The job cannot go on as it is."""

    message: str
    hint: str = ""
    code: str = ""
    values: Values = ()


Event = Union[Started, Progress, Stage, Posed, Preview, Finding, Estimated, Evaluated, Paused, Finished, Failed]

_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Event)}
_HINTS: dict[type, dict[str, Any]] = {kind: get_type_hints(kind) for kind in _KINDS.values()}


def failed(error: UserError) -> Failed:
    """The end of a job that an error is."""
    return Failed(error.message, error.hint, error.code, error.values)


def error_of(said: Finding | Failed) -> UserError:
    """What a finding or a failure is where it ends the work."""
    return UserError(said.message, said.hint, said.code, **dict(said.values))


def event_to_json(event: Event) -> str:
    """The lines of an event without the last line end: one line of JSON, or two where the event has a code."""
    fields = asdict(event)
    code, said = fields.pop("code", ""), dict(fields.pop("values", ()))
    line = json.dumps({"event": type(event).__name__, **fields})
    return f"{json.dumps({'event': 'Coded', 'code': code, 'values': said})}\n{line}" if code else line


def events_from_lines(lines: Iterable[str]) -> list[Event]:
    """The events of lines in their order; lines that are no events are passed over."""
    events: list[Event] = []
    before = ""
    for line in lines:
        event = event_from_json(line)
        if event is not None:
            events.append(_coded(event, before) if before.startswith(CODED) else event)
        before = line
    return events


def event_from_json(line: str) -> Event | None:
    """The event of one line; None for a line that is no event of this protocol (torn, or written by hand).

    Fields that this version does not know are left out.
    """
    try:
        found = parse_json(line)
        kind = _KINDS[found.pop("event")]
        fields = {name: _field(value) for name, value in found.items() if name in _HINTS[kind]}
        event = kind(**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return event if all(_fits(value, _HINTS[kind][name]) for name, value in fields.items()) else None


def _field(value: Any) -> Any:
    """A value of JSON as events hold it."""
    return tuple(value) if isinstance(value, list) else tuple(value.items()) if isinstance(value, dict) else value


def _coded(event: Event, line: str) -> Event:
    """The event with code and values of the line before it; as it is where that line is damaged, or the event has none."""
    if not isinstance(event, (Started, Finding, Failed, Paused)):
        return event
    try:
        found = parse_json(line)
        code, said = found["code"], tuple(found["values"].items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return event
    return replace(event, code=code, values=said) if isinstance(code, str) and _fits(said, Values) else event


def _fits(value: object, hint: Any) -> bool:
    """Whether a value of JSON is what a field of an event holds."""
    if hint == Values:
        return isinstance(value, tuple) and all(len(pair) == 2 and type(pair[1]) in (int, float, str) for pair in value)
    if hint is float:
        return type(value) in (int, float)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if isinstance(hint, type):
        return type(value) is hint
    if type(None) in get_args(hint):
        return value is None or _fits(value, float)
    return isinstance(value, str) and value in get_args(hint)


def newest(events: list[Event]) -> list[Event]:
    """Drop each Progress, Stage and Preview that a later one of its kind replaces; order is kept."""
    last = {type(event): event for event in events}
    return [event for event in events
            if not isinstance(event, (Progress, Stage, Preview)) or event is last[type(event)]]
