"""The full state of a training on disk, always whole: the newest and the one before it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.files import disk_error, remove_file, remove_folder, rename, replacing
from ..core.formats.npy import read_npz, write_npz
from ..core.parsing import finite, parse_object
from .backend import LiveRows

NEWEST, PREVIOUS = "state.npz", "previous.npz"

PARAMETERS: dict[str, tuple[int | None, ...]] = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": (), "sh0": (1, 3),
                                                 "shN": (None, 3)}
"""Arrays that every state has, with their shapes after the number of Gaussians; None: by the SH degree."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training: `step` steps are done, `state` is what Model.state() or snapshot() returns.

    One that is `live` is the model's own memory, which must not change until it has been read.
    """

    step: int
    seconds: float
    state: Mapping[str, np.ndarray | LiveRows]
    live: bool = False

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The state of one that was loaded."""
        return {name: array for name, array in self.state.items() if isinstance(array, np.ndarray)}


def save_checkpoint(folder: Path, checkpoint: Checkpoint, read: Callable[[], None] = lambda: None) -> None:
    """Write the checkpoint under a temporary name, flush it to the disk, keep the last one as previous, rename. `read` is called when the
    state has been read to its end, and may change.

    UserError when the disk refuses, and when the folder above is gone: a job folder that was deleted does not come back.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from error
    head = {"step": checkpoint.step, "seconds": checkpoint.seconds}
    with replacing(folder / NEWEST) as temporary:
        with open(temporary, "wb") as file:
            state = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8), **checkpoint.state}
            write_npz(file, {name: (array.shape, parts_of(array)) for name, array in state.items()})
            file.flush()
            read()
            os.fsync(file.fileno())
        if (folder / PREVIOUS).is_dir():
            _remove(folder / PREVIOUS)
        if (folder / NEWEST).exists():
            rename(folder / NEWEST, folder / PREVIOUS)


def parts_of(array: np.ndarray | LiveRows) -> Iterator[np.ndarray]:
    """The rows of an array, some at a time."""
    if isinstance(array, np.ndarray):
        yield np.ascontiguousarray(array)
    else:
        yield from array.parts()


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, whatever is wrong with a newer one; None where there is none.

    UserError when files exist and none can be used. A newest one that cannot be used goes, so that it does not become the previous one
    when the next is written.
    """
    problems: list[OSError | ValueError] = []
    for name in (NEWEST, PREVIOUS):
        try:
            checkpoint = _read(folder / name)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            problems.append(error)
            continue
        if name == PREVIOUS:
            _remove(folder / NEWEST)
        return checkpoint
    if not problems:
        return None
    unread = next((error for error in problems if isinstance(error, OSError)), None)
    if unread is not None:
        raise disk_error(folder, unread) from unread
    raise UserError(f"The checkpoint in {folder} is damaged.", "Delete the folder to start this training from the beginning.",
                    "training.checkpoint_damaged", path=folder)


def _read(path: Path) -> Checkpoint:
    """The checkpoint of a file. ValueError when it is damaged or lacks something."""
    state = read_npz(path)
    if "head" not in state:
        raise ValueError("it has no head")
    head = parse_object(state.pop("head").tobytes())
    step, seconds = finite(head.get("step")), finite(head.get("seconds"))
    if step < 0 or step != int(step) or seconds < 0:
        raise ValueError("its step is none")
    check_whole(state)
    return Checkpoint(int(step), seconds, state)


def check_whole(state: dict[str, np.ndarray]) -> None:
    """ValueError where a state lacks an array, has one of another shape than it must have, or values that are no finite numbers."""
    missing = {"steps", *PARAMETERS} - state.keys()
    learned = {name.partition("_")[2] for name in state if name.startswith(("first_", "second_"))} | {*PARAMETERS}
    missing |= {f"{moment}_{name}" for name in learned for moment in ("first", "second")} - state.keys()
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    count = len(state["means"]) if state["means"].ndim else -1
    wrong = [name for name, rest in PARAMETERS.items() if state[name].ndim != len(rest) + 1 or state[name].shape[0] != count
             or any(size not in (None, found) for size, found in zip(rest, state[name].shape[1:], strict=True))]
    wrong += [f"{moment}_{name}" for name in learned for moment in ("first", "second")
              if name not in state or state[f"{moment}_{name}"].shape != state[name].shape]
    wrong += [name for name, array in state.items() if name not in ("steps", "sights") and array.dtype != np.float32]
    wrong += ["sights"] if "sights" in state and state["sights"].shape != (count, 3) else []
    wrong += ["steps"] if state["steps"].shape != () or state["steps"].dtype.kind not in "iu" else []
    wrong += [name for name, array in state.items() if not np.isfinite(array).all()]
    if wrong:
        raise ValueError(f"its {', '.join(wrong)} cannot be used")


def _remove(path: Path) -> None:
    """Remove what lies there, a file or a folder; what cannot be removed stays."""
    with suppress(OSError):
        remove_folder(path) if path.is_dir() and not path.is_symlink() else remove_file(path)
