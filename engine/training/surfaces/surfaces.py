"""All that maps say about Gaussians, in one pass after the training, as properties of its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...core.datasets.dataset import View
from ...core.errors import UserError
from ...core.images.srgb import display_from_linear
from ...core.protocol.folder import FolderGone
from ..backend import Model, sampled_rows
from ..data.image_store import Photos
from ..data.view_files import ViewFiles
from .albedo import ROUNDS, fit_albedo
from .normals import gather_normals
from .view_maps import ViewMaps
from .votes import vote

MOST_VIEWS = 64
"""Of the albedo, which looks at each again in every round; spread evenly over all."""

Tick = Callable[[int, int], None]
"""Takes how many of how many views are through; may raise SurfacesStopped, FolderGone or KeyboardInterrupt."""


class SurfacesStopped(Exception):
    """Raised by a tick when somebody asks to stop."""


@dataclass
class Surfaces:
    """Columns [N] float32 of the result by property, what went wrong, and what it took."""

    columns: dict[str, np.ndarray] = field(default_factory=dict)
    problems: list[UserError] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def label_count(self) -> int:
        """How many objects the splats belong to."""
        return len(np.unique(self.columns["label"])) if "label" in self.columns else 0

    def rows(self, chosen: np.ndarray) -> np.ndarray | None:
        """The columns of the chosen Gaussians [N] bool as a table with a field for each; None without any."""
        if not self.columns:
            return None
        table = np.empty(int(chosen.sum()), [(name, "<f4") for name in self.columns])
        for name, column in self.columns.items():
            table[name] = column[chosen]
        return table


def find_surfaces(model: Model, photos: Photos, tick: Tick = lambda done, total: None) -> Surfaces:
    """Labels, normals and albedo of the model's Gaussians, each where views of `photos` have such maps. The model is as before.

    A map that cannot be used costs that map. What fails as a whole is left out and named; SurfacesStopped leaves out what is not yet done.
    """
    began, found = time.monotonic(), Surfaces()
    with_labels, with_normals, with_albedo = _with_maps(photos.views)
    total = len(with_labels) + len(with_normals) + (2 + ROUNDS) * len(with_albedo)
    passes = _Passes(photos, found, tick, total)
    means = model.read("means") if total else np.zeros((0, 3), np.float32)
    steps: list[tuple[Sequence[int], Callable[[], dict[str, np.ndarray]]]] = [
        (with_labels, lambda: _labels(model, passes.views(with_labels, ViewMaps.labels), means)),
        (with_normals, lambda: _normals(model, passes.views(with_normals, ViewMaps.normals), means)),
        (with_albedo, lambda: _albedo(model, lambda: passes.views(with_albedo, ViewMaps.albedo), means, passes.count)),
    ]
    try:
        for numbers, step in steps:
            if numbers:
                found.columns |= _or_nothing(step, found)
    except SurfacesStopped:
        pass
    found.seconds = time.monotonic() - began
    return found


def _with_maps(views: Sequence[View]) -> tuple[list[int], list[int], list[int]]:
    """Numbers of the views that have labels, normals and albedo that can be used."""
    labels = [number for number, view in enumerate(views) if view.labels]
    normals = [number for number, view in enumerate(views) if view.normals and not view.camera.distortion]
    albedo = [number for number, view in enumerate(views) if view.albedo]
    return labels, normals, [albedo[place] for place in sampled_rows(len(albedo), MOST_VIEWS)]


@dataclass
class _Passes:
    """Goes through views, tells how far it is, and leaves out views with a bad map."""

    photos: Photos
    found: Surfaces
    tick: Tick
    total: int
    done: int = 0

    def count(self) -> None:
        self.tick(self.done, self.total)
        self.done += 1

    def views(self, numbers: Sequence[int], look: Callable[[ViewMaps], np.ndarray]) -> Iterator[ViewMaps]:
        for number in numbers:
            self.count()
            view = ViewMaps(ViewFiles(self.photos.views[number]), self.photos.at(number, 1))
            try:
                look(view)
            except UserError as error:
                if error.message not in {problem.message for problem in self.found.problems}:
                    self.found.problems.append(error)
                continue
            yield view


def _or_nothing(step: Callable[[], dict[str, np.ndarray]], found: Surfaces) -> dict[str, np.ndarray]:
    """The columns of one step; none where it fails, which never ends a training that has succeeded."""
    try:
        columns = step()
    except (SurfacesStopped, FolderGone):
        raise  # said by the tick
    except Exception as error:
        found.problems.append(error if isinstance(error, UserError) else _failure(f"{type(error).__name__}: {error}"))
        return {}
    return {name: column.astype(np.float32) for name, column in columns.items()}


def _failure(problem: str) -> UserError:
    return UserError(f"What the maps say about the splats could not be found: {problem}", "The splats themselves are whole.",
                     "surfaces.failed", problem=problem)


def _labels(model: Model, views: Iterator[ViewMaps], means: np.ndarray) -> dict[str, np.ndarray]:
    found = vote(model, views, means)
    return {"label": found.labels, "confidence": found.confidence}


def _normals(model: Model, views: Iterator[ViewMaps], means: np.ndarray) -> dict[str, np.ndarray]:
    normals = gather_normals(model, views, means)
    return dict(zip(("nx", "ny", "nz"), normals.T, strict=True)) if normals.any() else {}


def _albedo(model: Model, views: Callable[[], Iterator[ViewMaps]], means: np.ndarray, tick: Callable[[], None]) -> dict[str, np.ndarray]:
    display = display_from_linear(fit_albedo(model, views, means, tick))
    return {f"albedo_{channel}": display[:, channel] for channel in range(3)} if display.any() else {}
