"""Photos by the names that other programs wrote down: with other folders, endings, cases and code pages than on the disk.

Every reader of datasets asks here: `found = find_photos(FolderIndex(folder), names, bases)`, then `found.paths`, `found.missing` and,
where none is there, `found.looked_for` and `found.lies_there` for the sentence that says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..confinement import may_open
from ..text import named
from .folder_index import IMAGES, FolderIndex
from .name_spelling import plain_name, readable, respelled, respellings

REDUCED = ("_2", "_3", "_4", "_8")
"""What other programs append to the folder of images that they have made smaller, the largest first."""

ENDINGS = (".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".exr")
"""Endings that names leave out, the likely ones first."""

PHOTO_FOLDERS = ("images", "image", "input", "photos", "rgb", "color", "frames")
"""Of a photo that lies in several folders the one in these is meant."""


@dataclass(frozen=True)
class FoundPhotos:
    """Where photos lie, by the names that they were looked for under."""

    names: tuple[str, ...]
    paths: Mapping[str, Path]
    bases: tuple[Path, ...]
    index: FolderIndex

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of those that are not there."""
        return tuple(name for name in self.names if name not in self.paths)

    @property
    def looked_for(self) -> str:
        """What was looked for and where."""
        places = dict.fromkeys(_below(base, self.index.root) for base in self.bases)
        return (f"Looked for {named([readable(name) for name in self.missing])} in {', '.join(places)} and anywhere below, "
                "with any case and ending")

    @property
    def lies_there(self) -> str:
        """What lies there instead."""
        return self.index.contents()


def find_photos(index: FolderIndex, names: Sequence[str], bases: Sequence[Path] = ()) -> FoundPhotos:
    """Where the photos lie; those that are not there are left out.

    A photo lies where its name says below one of `bases` (by default the index's root), the one that holds most of them; else in the
    smaller copies of the folder (images_2 to images_8), the one with most, largest first. What is not found so is the only photo below
    the root whose path ends like the name, or whose own name is the same whatever its folder, case, form of Unicode and ending, and at
    last with its bytes read in another code page. No photo is two images.
    """
    bases, wanted = tuple(bases) or (index.root,), list(dict.fromkeys(names))
    found = _in_folders(wanted, bases)
    if len(found) < len(wanted):
        found |= _searched(index, [name for name in wanted if name not in found], set(found.values()))
    missing = [name for name in wanted if name not in found]
    if missing:
        found |= _in_other_pages(index, missing, set(found.values()))
    return FoundPhotos(tuple(wanted), found, bases, index)


def _in_folders(names: Sequence[str], bases: Sequence[Path]) -> dict[str, Path]:
    """The photos in the one folder of `bases` that holds most, or, where that is less than half of them, in smaller copies of it."""
    found = _fullest([{name: base / plain_name(name) for name in names} for base in bases])
    if 2 * len(found) >= len(names):
        return found
    smaller = _fullest([_reduced(names, base, ending) for ending in REDUCED for base in bases])
    return smaller if len(smaller) > len(found) else found


def _fullest(layouts: Sequence[Mapping[str, Path]]) -> dict[str, Path]:
    """What is there of the layout of which most is, the first of several."""
    best: dict[str, Path] = {}
    for layout in layouts:
        there = {name: found for name, path in layout.items() if (found := _with_ending(path))}
        if len(there) > len(best):
            best = there
        if len(best) == len(layout):
            break
    return best


def _with_ending(path: Path) -> Path | None:
    """The file, or the one with the ending that its name leaves out; None where neither is there."""
    if may_open(path):
        return path
    endings = () if path.suffix.lower() in IMAGES else ENDINGS
    return next((found for ending in endings if may_open(found := path.with_name(path.name + ending))), None)


def _reduced(names: Sequence[str], base: Path, ending: str) -> dict[str, Path]:
    """Where smaller copies of the photos lie: the folder that all names begin with has the ending, else `base` itself."""
    plain = {name: PurePosixPath(plain_name(name)) for name in names}
    first = {path.parts[0] if len(path.parts) > 1 else "" for path in plain.values()}
    if len(first) == 1 and "" not in first:
        folder = base / f"{first.pop()}{ending}"
        return {name: folder.joinpath(*path.parts[1:]) for name, path in plain.items()}
    copies = base.with_name(base.name + ending) if base.name.casefold() in PHOTO_FOLDERS else None
    return {name: copies / path for name, path in plain.items()} if copies else {}


def _searched(index: FolderIndex, names: Sequence[str], taken: set[Path]) -> dict[str, Path]:
    """Photos anywhere below the root: first those whose folder has the name's too, then any, each for the one name that it can be."""
    found: dict[str, Path] = {}
    for with_folder in (True, False):
        used = taken | set(found.values())
        candidates = {name: [path for path in index.alike(name, with_folder) if index.root / path not in used]
                      for name in names if name not in found}
        most = Counter(str(PurePosixPath(path).parent) for paths in candidates.values() for path in paths)
        chosen = {name: path for name, paths in candidates.items() if (path := _meant(paths, most))}
        claims = Counter(chosen.values())
        found |= {name: index.root / path for name, path in chosen.items() if claims[path] == 1}
    return found


def _meant(paths: Sequence[str], most: Mapping[str, int]) -> str | None:
    """The only one; of several the one in a folder of photos with most of them, the largest copy first; None where that is open."""
    if len(paths) < 2:
        return paths[0] if paths else None
    ranked = sorted((-most[str(PurePosixPath(path).parent)], rank, path) for path in paths if (rank := _rank(path)) is not None)
    first = [path for count, rank, path in ranked if (count, rank) == ranked[0][:2]]
    return first[0] if len(first) == 1 else None


def _rank(path: str) -> int | None:
    """How large the photos of a file's folder are among copies, 1 for the originals; None where it is no folder of photos."""
    folder, _, factor = PurePosixPath(path).parent.name.casefold().partition("_")
    if folder not in PHOTO_FOLDERS or (factor and not factor.isdecimal()):
        return None
    return int(factor or 1)


def _in_other_pages(index: FolderIndex, names: Sequence[str], taken: set[Path]) -> dict[str, Path]:
    """Photos whose names were written in one code page and read in another: the pair that finds most."""
    strange = [name for name in names if not name.isascii() or "%" in name]
    best: dict[str, Path] = {}
    if not strange:
        return best
    for pair in respellings():
        other = {changed: name for name in strange if (changed := respelled(name, *pair)) != name}
        found = {other[changed]: path for changed, path in _searched(index, list(other), taken).items()}
        best = max(best, found, key=len)
    return best


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root and path.is_relative_to(root) else str(path)
