"""Images that a training leaves out: excluded.txt beside the dataset, one path a line. The dataset itself stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, remove_file, write_text
from ..text import named
from .dataset import Dataset, View
from .name_spelling import plain_name
from .spread import strays

EXCLUDED = "excluded.txt"


def read_excluded(folder: Path) -> set[str]:
    """Paths of the images that are left out, relative to the dataset's folder where they lie in it; UserError when unreadable."""
    path = folder / EXCLUDED
    try:
        lines = admitted(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
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
        remove_file(folder / EXCLUDED)
    except OSError as error:
        raise disk_error(folder / EXCLUDED, error) from error


def without_excluded(dataset: Dataset) -> Dataset:
    """The dataset without the views that its excluded.txt names. Held-out views stay held out."""
    excluded = read_excluded(dataset.folder)
    views = tuple(view for view in dataset.views if image_path(view, dataset.folder) not in excluded
                  and image_path(replace(view, face=""), dataset.folder) not in excluded)
    return replace(dataset, views=views) if excluded else dataset


def without_named(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset without the images of these names, paths or patterns (* for any letters), which may be unusable anyway.

    Held-out views stay held out. UserError for a name that no image has.
    """
    known = {view.name: {view.name, view.image.name, image_path(view, dataset.folder)} for view in dataset.views}
    known |= {name: {name, PurePosixPath(name).name} for name in dataset.lost_views}
    gone: set[str] = set()
    for name in names:
        meant = {known_name for known_name, spellings in known.items() if any(fnmatchcase(each, plain_name(name)) for each in spellings)}
        if not meant:
            raise UserError(f"No image of {dataset.folder} is called {name}.", f"Its images are called {named(known)}.",
                            "dataset.exclude_unknown", name=name, path=dataset.folder, known=named(known))
        gone |= meant
    return replace(dataset, views=tuple(view for view in dataset.views if view.name not in gone),
                   missing=tuple(name for name in dataset.missing if name not in gone),
                   left_out=tuple(each for each in dataset.left_out if each.name not in gone))


def image_path(view: View, folder: Path) -> str:
    """How excluded.txt names a view's image; cuts of a panorama have the side behind it."""
    side = f"#{view.face}" if view.face else ""
    try:
        return view.image.relative_to(folder).as_posix() + side
    except ValueError:
        return view.image.as_posix() + side
