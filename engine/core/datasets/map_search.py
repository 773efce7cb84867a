"""Masks, depth, normals and other maps that a dataset's file names, or that lie beside its images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..confinement import may_open
from .dataset import LeftOut
from .folder_index import FolderIndex
from .mask_search import find_masks
from .name_spelling import plain_name, readable

MapKind = Literal["mask", "depth", "normals", "labels", "albedo", "weights"]
WORDS: dict[MapKind, str] = {"mask": "mask", "depth": "depth map", "normals": "normal map", "labels": "label map", "albedo": "albedo map",
                             "weights": "weight map"}


@dataclass(frozen=True)
class FoundMaps:
    """The maps that are there, by kind and the name of their image, and what is said about those that are not."""

    paths: Mapping[MapKind, Mapping[str, Path]]
    notes: tuple[LeftOut, ...]

    def of(self, image: str) -> dict[MapKind, Path]:
        """The maps of one image."""
        return {kind: paths[image] for kind, paths in self.paths.items() if image in paths}


def find_maps(index: FolderIndex, images: Mapping[str, Path], maps: Mapping[str, Mapping[MapKind, str]]) -> FoundMaps:
    """The maps of images: where `maps` says, as paths from the index's root, else the only file whose path ends so.

    One that is not there costs its image nothing but that map. Where no image has a named mask, masks are looked for beside the images.
    """
    paths: dict[MapKind, dict[str, Path]] = {kind: {} for kind in WORDS}
    notes: list[LeftOut] = []
    for image, named in maps.items():
        for kind, name in named.items():
            path = _place_of(index, name)
            if path:
                paths[kind][image] = path
            else:
                notes.append(LeftOut(readable(image), f"its {WORDS[kind]} {readable(name)} is not there", kind))
    if any("mask" in named for named in maps.values()):
        return FoundMaps(paths, tuple(notes))
    masks = find_masks(index.root, list(images.values()))
    paths["mask"] = {image: masks.paths[path] for image, path in images.items() if path in masks.paths}
    return FoundMaps(paths, (*notes, *masks.notes))


def _place_of(index: FolderIndex, name: str) -> Path | None:
    path = index.root / plain_name(name)
    if may_open(path):
        return path
    alike = index.alike_map(name)
    return index.root / alike[0] if len(alike) == 1 else None
