"""Where a capture writes, so that a finished dataset is replaced only by a finished one and foreign files are never touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...engine.core.datasets.capture_journal import JOURNAL, with_journal
from ...engine.core.datasets.dataset import Dataset, View
from ...engine.core.datasets.excluded import EXCLUDED
from ...engine.core.datasets.labels import LABELS
from ...engine.core.datasets.transforms_frame import MAP_KEYS
from ...engine.core.datasets.transforms_json import write_transforms
from ...engine.core.errors import UserError
from ...engine.core.files import disk_error, make_folder, remove_file, rename
from ...engine.core.parsing import parse_object

TRANSFORMS = "transforms.json"
POINTS = "points3d.ply"


@dataclass(frozen=True)
class DatasetFolder:
    """`target` is the folder the user chose; the capture fills `work`, which is another folder while `target` holds a finished dataset."""

    target: Path
    work: Path

    def finish(self, dataset: Dataset) -> Dataset:
        """Mark `dataset`, which lies in `work`, as complete, and move it over the old one."""
        if self.work == self.target:
            return _written(dataset, complete=True)
        try:
            return self._replace_target(dataset)
        except OSError as error:
            raise disk_error(self.target, error) from error

    def _replace_target(self, dataset: Dataset) -> Dataset:
        old = _dataset_files(self.target)
        labels = dataset.labels_file and self._moved_path(dataset.labels_file)
        moved = replace(dataset, folder=self.target, views=tuple(self._moved(view) for view in dataset.views), labels_file=labels)
        _written(moved, complete=False)
        new = _dataset_files(self.work)
        for path in new - {Path(TRANSFORMS)}:
            make_folder((self.target / path).parent)
            rename(self.work / path, self.target / path)
        _remove(self.target, old - new)
        _remove(self.work, new)
        return _written(moved, complete=True)

    def _moved(self, view: View) -> View:
        maps = {kind: path and self._moved_path(path) for kind in MAP_KEYS for path in (getattr(view, kind),)}
        return replace(view, image=self._moved_path(view.image), **maps)

    def _moved_path(self, path: Path) -> Path:
        return self.target / path.relative_to(self.work)


def check_dataset_folder(target: Path) -> None:
    """UserError where a capture into `target` would meet files of anything but one of our datasets. Writes nothing."""
    if _holds_files(target):
        _our_transforms(target)


def captured_images(target: Path) -> int:
    """How many images the finished dataset in `target` has; 0 where there is none."""
    try:
        values = _our_transforms(target)
    except UserError:
        return 0
    return len(values.get("frames", [])) if _is_complete(values) else 0


def incomplete_folder(target: Path) -> Path:
    """Where a capture into `target` lies until it is complete: beside a finished dataset that it will replace."""
    return target.with_name(f"{target.name}-incomplete") if captured_images(target) else target


def open_dataset_folder(target: Path) -> DatasetFolder:
    """Prepare `target` for a capture. A folder that holds anything but one of our datasets raises UserError."""
    if not _holds_files(target):
        return _prepared(DatasetFolder(target, target))
    if _is_complete(_our_transforms(target)):
        work = incomplete_folder(target)
        if _holds_files(work):
            _remove_dataset(work)
        return _prepared(DatasetFolder(target, work))
    _remove_dataset(target)
    return _prepared(DatasetFolder(target, target))


def _prepared(folder: DatasetFolder) -> DatasetFolder:
    """Create the folders and the note that the dataset is unfinished; this also proves that they can be written."""
    make_folder(folder.work / "images")
    _written(Dataset(folder.work, (), rendered=True), complete=False)
    return folder


def _written(dataset: Dataset, complete: bool) -> Dataset:
    dataset = replace(dataset, complete=complete)
    write_transforms(dataset)
    return dataset


def _holds_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise disk_error(folder, error) from error


def _our_transforms(folder: Path) -> dict[str, Any]:
    """transforms.json of a dataset that Splatwright captured; UserError for a folder of anything else."""
    try:
        values = parse_object((folder / TRANSFORMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict) or "splatwright" not in values:
        raise UserError(f"The folder {folder} holds other files.", "Choose an empty or a new folder for the dataset.",
                        "capture.folder_used", folder=folder)
    return values


def _is_complete(values: dict[str, Any]) -> bool:
    mark = values["splatwright"]
    return bool(mark.get("complete", True)) if isinstance(mark, dict) else True


def _dataset_files(folder: Path) -> set[Path]:
    """Every existing file of the dataset, relative to its folder; names that lead out of the folder are left alone."""
    frames = with_journal(_our_transforms(folder), folder).get("frames", [])
    named = [frame[key] for frame in frames for key in ("file_path", *MAP_KEYS.values()) if key in frame]
    paths = {Path(name) for name in [*named, POINTS, TRANSFORMS, EXCLUDED, JOURNAL, LABELS]}
    return {path for path in paths if not path.is_absolute() and ".." not in path.parts and (folder / path).is_file()}


def _remove_dataset(folder: Path) -> None:
    try:
        _remove(folder, _dataset_files(folder))
    except OSError as error:
        raise disk_error(folder, error) from error


def _remove(folder: Path, paths: set[Path]) -> None:
    """Delete files, and the folders that they leave empty."""
    for path in paths:
        remove_file(folder / path)
    parents = {folder / path.parent for path in paths} | {folder / "images", folder}
    for parent in sorted(parents, key=lambda parent: len(parent.parts), reverse=True):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
