"""The image files of a folder tree, looked through once and found by what their names have in common with others."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..confinement import may_open
from ..text import named
from .file_types import MAPS, PHOTOS
from .name_spelling import folded, plain_name, readable

IMAGES = PHOTOS | {".exr", ".hdr", ".tga"}
"""Endings that are left away and put in place of each other when an image is looked for."""

ARRAY = ".npy"
"""Ending of maps that are no images."""

FOREIGN = frozenset({"__macosx", "thumbs", "thumbnails"})
"""Folders of other programs' own files."""


class FolderIndex:
    """Images and arrays below `root`. Nothing is read from the disk before something is asked for, and then once."""

    def __init__(self, root: Path):
        self.root = root

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of images and arrays relative to the root, sorted, with forward slashes; hidden ones are left out."""
        return tuple(sorted(_walked(self.root)))

    @cached_property
    def photos(self) -> tuple[str, ...]:
        """The files that do not lie in a folder of masks or other maps."""
        return tuple(path for path in self.files if not path.endswith(ARRAY)
                     and not MAPS & {part.casefold() for part in PurePosixPath(path).parts[:-1]})

    @cached_property
    def _photos_by_stem(self) -> dict[str, list[str]]:
        return _by_stem(self.photos)

    @cached_property
    def _files_by_stem(self) -> dict[str, list[str]]:
        return _by_stem(self.files)

    def alike(self, name: str, with_folder: bool) -> list[str]:
        """Photos whose path ends like the name: of those with most folders in common the ones with its ending, else with any.

        `with_folder`: only those that have the folder above the name in common.
        """
        return _closest(name, self._photos_by_stem.get(stem_of(name), []), with_folder)

    def alike_map(self, name: str) -> list[str]:
        """Files of maps, images or arrays, whose path ends like the name and that have the folder above it in common."""
        return _closest(name, self._files_by_stem.get(stem_of(name), []), with_folder=True)

    def contents(self) -> str:
        """What lies there, in one sentence."""
        folders = Counter(str(PurePosixPath(path).parent) for path in self.photos)
        if not folders:
            return f"{self.root} holds no images"
        said = [f"{count} in {'the folder itself' if folder == '.' else readable(folder)} ({self._some_of(folder)})"
                for folder, count in folders.most_common(4)]
        return f"{self.root} holds {len(self.photos)} images: {', '.join(said)}"

    def _some_of(self, folder: str) -> str:
        return named([readable(PurePosixPath(path).name) for path in self.photos if str(PurePosixPath(path).parent) == folder])


def stem_of(name: str) -> str:
    """The folded name of an image without its folders and, where it has one, its ending."""
    plain = PurePosixPath(folded(plain_name(name)))
    return plain.stem if plain.suffix in {*IMAGES, ARRAY} else plain.name


def _by_stem(paths: Sequence[str]) -> dict[str, list[str]]:
    """Paths by the folded names of their files, with and without ending."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for key in {folded(PurePosixPath(path).name), stem_of(path)}:
            found[key].append(path)
    return found


def _closest(name: str, paths: Sequence[str], with_folder: bool) -> list[str]:
    wanted = PurePosixPath(folded(plain_name(name)))
    shared = {path: _shared_folders(wanted, PurePosixPath(folded(path))) for path in paths}
    most = max(shared.values(), default=0)
    if with_folder and not most:
        return []
    closest = [path for path, count in shared.items() if count == most]
    return [path for path in closest if PurePosixPath(folded(path)).name == wanted.name] or closest


def _shared_folders(a: PurePosixPath, b: PurePosixPath) -> int:
    """How many folders above the file both have in common."""
    count = 0
    for left, right in zip(reversed(a.parts[:-1]), reversed(b.parts[:-1]), strict=False):
        if left != right:
            break
        count += 1
    return count


def _walked(root: Path) -> Iterator[str]:
    """Paths of images and arrays that may be opened, through linked folders too, each folder once."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name.casefold() not in FOREIGN]
        below = Path(folder).relative_to(root)
        yield from ((below / name).as_posix() for name in visible(files) if may_open(Path(folder, name)))


def visible(names: Sequence[str]) -> list[str]:
    """The names of images and arrays, without hidden ones such as those that macOS leaves beside them."""
    return [name for name in names if not name.startswith(".") and os.path.splitext(name)[1].lower() in {*IMAGES, ARRAY}]
