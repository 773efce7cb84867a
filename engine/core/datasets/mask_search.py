"""Masks by the names of their photos, as other programs name them and where they put them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath

from ..confinement import may_open
from ..text import named
from .dataset import LeftOut
from .file_types import MASK_FOLDERS
from .folder_index import IMAGES, visible
from .name_spelling import folded

MARKS = (".mask", "_mask", "-mask")
"""What a mask's name may have after its photo's."""


@dataclass(frozen=True)
class FoundMasks:
    """The mask of each photo that has one, by the photo's path. `unfit` says in a sentence that there are masks and none fits."""

    paths: Mapping[Path, Path]
    unfit: str = ""

    @property
    def notes(self) -> tuple[LeftOut, ...]:
        """What a dataset says about them."""
        return (LeftOut("masks", self.unfit, "mask"),) if self.unfit else ()


@dataclass(frozen=True)
class _MaskFile:
    path: Path
    place: Path
    """the folder that the folder of masks lies in"""
    below: tuple[str, ...]
    """folded names of the folders between the folder of masks and the file"""

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What the photo may be called: X.jpg for X.jpg.mask.png, X.jpg.png and X.jpg, X for X.png and X.jpg.png; the likely first."""
        name = folded(self.path.name)
        once = _unmarked(_without_ending(name))
        return tuple(dict.fromkeys((once, name, _without_ending(once))))


def find_masks(root: Path, photos: Sequence[Path]) -> FoundMasks:
    """Masks of photos that lie below `root` or elsewhere.

    They lie in a folder `masks` or `mask` beside the photo or beside one of its folders up to the root, below the same folders as the photo
    where there are several, and are called as the photo is: X.png, X.jpg.png, X.jpg or X.jpg.mask.png, in any case. Nearer folders count
    more. A mask that photos of one name in several folders could have is none's.
    """
    folders = _mask_folders(root, photos)
    by_key: dict[str, list[_MaskFile]] = defaultdict(list)
    for mask in (mask for folder in folders for mask in _masks_in(folder)):
        for key in mask.keys:
            by_key[key].append(mask)
    best = {photo: mask for photo in photos if (mask := _mask_of(photo, by_key))}
    claims = Counter((mask.path, folded(photo.name)) for photo, mask in best.items())
    paths = {photo: mask.path for photo, mask in best.items() if claims[mask.path, folded(photo.name)] == 1}
    return FoundMasks(paths, "" if paths else _unfit(by_key, photos))


def _mask_of(photo: Path, by_key: Mapping[str, Sequence[_MaskFile]]) -> _MaskFile | None:
    """The mask whose folders fit, of the nearest folder of masks; of several there the one that has the photo's whole name."""
    folders = tuple(folded(part) for part in photo.parts[:-1])
    fitting = []
    for key in (folded(photo.name), _without_ending(folded(photo.name))):
        for mask in by_key.get(key, ()):
            inside = photo.is_relative_to(mask.place)
            if inside and (not mask.below or folders[-len(mask.below):] == mask.below):
                depth = len(mask.place.parts)
                fitting.append((-depth - len(mask.below), -depth, mask.keys.index(key), len(fitting), mask))
    return min(fitting)[-1] if fitting else None


def _mask_folders(root: Path, photos: Sequence[Path]) -> list[Path]:
    """Folders of masks beside photos and beside their folders up to the root."""
    places = dict.fromkeys([root])
    for folder in dict.fromkeys(photo.parent for photo in photos):
        above = [parent for parent in folder.parents if parent.is_relative_to(root)] if folder.is_relative_to(root) else [folder.parent]
        places |= dict.fromkeys([folder, *above])
    return [found for place in places for found in _named_for_masks(place)]


def _named_for_masks(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.casefold() in MASK_FOLDERS and entry.is_dir())
    except OSError:
        return []


def _masks_in(folder: Path) -> Iterator[_MaskFile]:
    for below, folders, names in os.walk(folder):
        folders.sort()
        parts = tuple(folded(part) for part in Path(below).relative_to(folder).parts)
        yield from (_MaskFile(Path(below) / name, folder.parent, parts) for name in sorted(visible(names)) if may_open(Path(below, name)))


def _unfit(by_key: Mapping[str, Sequence[_MaskFile]], photos: Sequence[Path]) -> str:
    """The sentence about masks of which none fits; empty where there is no mask."""
    masks = sorted({mask.path for found in by_key.values() for mask in found})
    if not masks or not photos:
        return ""
    stem, name = photos[0].stem, photos[0].name
    return (f"None of the {len(masks)} files in {masks[0].parent} is named like an image: it holds {named(mask.name for mask in masks)}; "
            f"the mask of {name} is looked for as {stem}.png, {name}.png, {stem}.jpg and {name}.mask.png")


def _without_ending(name: str) -> str:
    return PurePosixPath(name).stem if PurePath(name).suffix in IMAGES else name


def _unmarked(name: str) -> str:
    return next((name.removesuffix(mark) for mark in MARKS if name.endswith(mark)), name)
