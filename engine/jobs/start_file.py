"""The splats that a training begins with, brought into its folder, which then needs no other file of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ..core.errors import UserError
from ..core.files import disk_error, make_folder
from ..core.formats.registry import format_of, read_splats
from ..core.protocol.folder import JobFolder
from ..core.protocol.spec import JobSpec, Spec
from ..core.splats.offset import offset_file

NAME = "start"
"""Of the file in the job's folder, before its ending."""


def start_of(path: Path) -> Path:
    """The file of splats at a path, or the result of the training whose folder that is. UserError where there is none."""
    path = path.resolve()
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path} does not exist.", "Choose a file of splats, or the folder of a finished training.", "start.absent",
                            path=path)
        format_of(path)
        return path
    result = JobFolder(path).result
    if not result.is_file():
        raise UserError(f"{path} holds no finished training.", "Choose a file of splats, or the folder of a training with a result.ply.",
                        "start.no_result", path=path)
    return result


def with_own_start(folder: JobFolder, spec: Spec) -> Spec:
    """The same job, whose start file has been copied into its folder, with the file of its offset. UserError for one that is broken."""
    if not isinstance(spec, JobSpec) or spec.start_file is None:
        return spec
    source = start_of(spec.start_file)
    target = folder.path.absolute() / f"{NAME}{format_of(source).suffix}"
    if source == target.resolve():
        return spec
    read_splats(source)
    make_folder(folder.path)
    try:
        for original, copy in zip(start_files(source), start_files(target), strict=True):
            if original.is_file():
                shutil.copyfile(original, copy)
    except OSError as error:
        raise disk_error(target, error) from error
    return replace(spec, start_file=target)


def start_files(path: Path) -> tuple[Path, Path]:
    """A file of splats and the one that may lie beside it with their offset."""
    return path, offset_file(path)
