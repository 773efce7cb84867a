"""The views that a splat file may be measured on: those that its training never saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.datasets.dataset import Dataset, View
from ..core.datasets.read import read_dataset, read_dataset_of
from ..core.datasets.recentring import offset_of_job
from ..core.errors import UserError
from ..core.files import read_shared
from ..core.formats.registry import stated_offset
from ..core.parsing import parse_object
from ..core.protocol.config import TrainConfig
from ..core.protocol.folder import JobFolder
from ..training.backend import Target
from ..training.data.maps import MapSelection
from ..training.data.targets import load_pyramid
from .scene import job_of

NAMED = 3
MEND = "Every eighth view of three or more is held out where transforms.json does not list which are trained on."


@dataclass(frozen=True)
class HeldOut:
    """Views to measure on, and the settings that they were reduced and masked with in training."""

    views: tuple[View, ...]
    config: TrainConfig

    def targets(self) -> Iterator[tuple[str, Target]]:
        """Name and image of each view, in order, read as they are asked for; those that cannot be read are passed over, as a training
        does. UserError when none can."""
        errors = []
        for view in self.views:
            try:
                yield view.name, self._target(view)
            except UserError as error:
                errors.append(error)
        if errors and len(errors) == len(self.views):
            raise errors[0]

    def _target(self, view: View) -> Target:
        """The image of a view, without its mask where that cannot be used."""
        wanted = MapSelection(self.config.mask_meaning)
        try:
            return load_pyramid(view, self.config.resolution, wanted).full
        except UserError:
            if view.mask is None:
                raise
            return load_pyramid(replace(view, mask=None), self.config.resolution, wanted).full


def held_out_for(scene: Path, dataset: Path | None = None, resolution: int | None = None) -> HeldOut:
    """What a splat file, or a job, is measured on: the named dataset's held-out views, or those of its own training.

    UserError when no view is held out, or one of them was trained on.
    """
    job = job_of(scene)
    config = job.read_spec().config if job else TrainConfig()
    config = replace(config, resolution=resolution or config.resolution).validate()
    offset = offset_of_job(job) if job else stated_offset(scene)
    found = read_dataset(dataset, offset=offset) if dataset else own_dataset(scene, job)
    if not found.eval_views:
        raise UserError(f"{found.folder} holds no views out, so no quality can be measured: trained images would flatter it.", MEND)
    if job:
        _refuse_trained(found, job)
    return HeldOut(found.eval_views, config)


def own_dataset(scene: Path, job: JobFolder | None) -> Dataset:
    """The dataset that a splat file was trained from, without what its training left out; UserError when it is not recorded."""
    if job is None:
        raise UserError(f"{scene} does not say which images it was trained from.", "Name the folder of the dataset too.")
    return read_dataset_of(job)


def _refuse_trained(found: Dataset, job: JobFolder) -> None:
    """UserError when a held-out view of a dataset is an image that the job learned from."""
    learned = trained_images(job)
    seen = [view.name for view in found.eval_views if view.image.resolve() in learned]
    if seen:
        shown = ", ".join(seen[:NAMED]) + (f" and {len(seen) - NAMED} more" if len(seen) > NAMED else "")
        raise UserError(f"{len(seen)} of {len(found.eval_views)} views to measure on were trained on: {shown}.",
                        "Measure on views that the training never saw, or train again with these held out.")


def trained_images(job: JobFolder) -> set[Path]:
    """The images that a job learned from, by what its report says was held out, else by its dataset as it is."""
    try:
        dataset = read_dataset_of(job)
    except UserError:
        return set()  # moved or deleted: nothing can be compared
    held_out = _reported_names(job)
    if held_out is None:
        return {view.image.resolve() for view in dataset.train_views}
    return {view.image.resolve() for view in dataset.views if view.name not in held_out}


def _reported_names(job: JobFolder) -> set[str] | None:
    try:
        return {str(name) for name in parse_object(read_shared(job.report))["held_out"]}
    except (OSError, ValueError, LookupError, TypeError):
        return None
