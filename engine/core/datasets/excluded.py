"""Images that a training leaves out: excluded.txt beside the dataset, one path a line. The dataset itself stays as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..files import disk_error, write_text
from .dataset import Dataset, View
from .spread import strays

EXCLUDED = "excluded.txt"


def read_excluded(folder: Path) -> set[str]:
    """Paths of the images that are left out, relative to the dataset's folder where they lie in it; UserError when unreadable."""
    path = folder / EXCLUDED
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise disk_error(path, error) from error
    return {line.strip() for line in lines if line.strip()}


def exclude(dataset: Dataset, names: Iterable[str]) -> int:
    """Leave the views of these names out from now on; returns how many there were. UserError when the folder may not be written."""
    wanted = set(names)
    paths = {image_path(view, dataset.folder) for view in dataset.views if view.name in wanted}
    write_text(dataset.folder / EXCLUDED, "".join(f"{path}\n" for path in sorted(paths | read_excluded(dataset.folder))))
    return len(paths)


def stray_names(dataset: Dataset) -> tuple[str, ...]:
    """Names of the few views whose cameras stand far away from all others; none where a pose is not finite."""
    positions = np.array([view.camera.position for view in dataset.views], np.float64).reshape(-1, 3)
    found = strays(positions) if np.isfinite(positions).all() else np.zeros(len(positions), bool)
    return tuple(view.name for view, stray in zip(dataset.views, found, strict=True) if stray)


def include_all(folder: Path) -> None:
    """Leave nothing out any more."""
    try:
        (folder / EXCLUDED).unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(folder / EXCLUDED, error) from error


def without_excluded(dataset: Dataset) -> Dataset:
    """The dataset without the views that its excluded.txt names. Held-out views stay held out."""
    excluded = read_excluded(dataset.folder)
    views = tuple(view for view in dataset.views if image_path(view, dataset.folder) not in excluded)
    return replace(dataset, views=views) if excluded else dataset


def image_path(view: View, folder: Path) -> str:
    """How excluded.txt names a view's image."""
    try:
        return view.image.relative_to(folder).as_posix()
    except ValueError:
        return view.image.as_posix()
