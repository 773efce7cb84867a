"""The cuts of panoramas as files of their own, for programs that know no panoramas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ...core.datasets.dataset import Dataset, View
from ...core.files import make_folder
from ...core.images.png import write_png
from .images import each_in_threads
from .view_files import ViewFiles


def with_cut_images(dataset: Dataset, folder: Path) -> Dataset:
    """The dataset whose cuts of panoramas, and their masks, are PNG files in a folder; other views stay as they are. UserError."""
    return replace(dataset, views=tuple(each_in_threads(lambda view: _saved(view, folder) if view.face else view, dataset.views)))


def _saved(view: View, folder: Path) -> View:
    files, name = ViewFiles(view), PurePosixPath(view.name).with_suffix(".png").as_posix()
    image = folder / "images" / name
    write_png(make_folder(image.parent) / image.name, files.image)
    mask = None
    if files.mask is not None:
        mask = folder / "masks" / f"{name}.png"
        write_png(make_folder(mask.parent) / mask.name, np.where(files.mask, 255, 0).astype(np.uint8))
    return replace(view, name=name, image=image, mask=mask, face="")
