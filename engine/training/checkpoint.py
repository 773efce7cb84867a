"""The full state of a training on disk, always whole: the newest and the one before it."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.files import disk_error, make_folder, replacing

NEWEST, PREVIOUS = "state.npz", "previous.npz"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training: `step` steps are done, `state` is what Model.state() returns."""

    step: int
    seconds: float
    state: dict[str, np.ndarray]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint under a temporary name, flush it to the disk, keep the last one as previous, rename."""
    make_folder(folder)
    head = {key: value for key, value in asdict(checkpoint).items() if key != "state"}
    with replacing(folder / NEWEST) as temporary:
        with open(temporary, "wb") as file:
            np.savez(file, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **checkpoint.state)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        if (folder / NEWEST).exists():
            os.replace(folder / NEWEST, folder / PREVIOUS)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest readable checkpoint; None where there is none. UserError when files exist and none can be read.

    A damaged newest one goes, so that it does not become the previous one when the next is written.
    """
    found = [folder / name for name in (NEWEST, PREVIOUS) if (folder / name).exists()]
    for path in found:
        checkpoint = _read(path)
        if checkpoint is not None:
            if path.name == PREVIOUS:
                (folder / NEWEST).unlink(missing_ok=True)
            return checkpoint
    if found:
        raise UserError(f"The checkpoint in {folder} is damaged.", "Delete the folder to start this training from the beginning.",
                        "training.checkpoint_damaged", path=folder)
    return None


def _read(path: Path) -> Checkpoint | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
        head = json.loads(state.pop("head").tobytes())
        return Checkpoint(step=int(head["step"]), seconds=float(head["seconds"]), state=state)
    except OSError as error:
        raise disk_error(path, error) from error
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
