"""Photos by the names that other programs wrote down: with other folders, endings and cases than on the disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from .file_types import MASKS, PHOTOS


def plain_name(name: str) -> str:
    """A name as other systems write it: forward slashes, no leading ./"""
    return name.strip().replace("\\", "/").removeprefix("./")


def is_there(path: Path) -> bool:
    """Whether a file is there; no name that some file made up is an error."""
    try:
        return path.is_file()
    except OSError:  # too long for the disk
        return False


def find_photos(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Where the photos lie, by their names; those that are not there are left out.

    A photo lies where its name says below `folder`; else it is the only one whose path ends like the name, or whose own name is the
    same whatever its folder, without regard to case and, at last, ending.
    """
    found = {name: path for name in names if is_there(path := folder / plain_name(name))}
    missing = [name for name in names if name not in found]
    if missing:
        photos = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PHOTOS]
        found |= _searched([path for path in photos if MASKS not in path.relative_to(folder).parts], missing)
    return found


def _searched(files: Sequence[Path], names: Sequence[str]) -> dict[str, Path]:
    """First those whose folder has the name's too, then those that are the only ones; a photo cannot be two images."""
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_stem[path.stem.casefold()].append(path)
        by_stem[path.name.casefold()].append(path)  # of a name without its ending that holds a dot
    found: dict[str, Path] = {}
    for with_folder in (True, False):
        taken = set(found.values())
        matches = {name: path for name in names if name not in found and (path := _match(name, by_stem, with_folder)) and path not in taken}
        claims = Counter(matches.values())
        found |= {name: path for name, path in matches.items() if claims[path] == 1}
    return found


def _match(name: str, by_stem: dict[str, list[Path]], with_folder: bool) -> Path | None:
    """The one photo of a name, with the ending that the name has where one has it."""
    wanted = PurePosixPath(plain_name(name).casefold())
    candidates = by_stem.get(wanted.stem if wanted.suffix in PHOTOS else wanted.name, [])
    if with_folder:
        candidates = [path for path in candidates if path.parent.name.casefold() == wanted.parent.name]
    candidates = [path for path in candidates if path.name.casefold() == wanted.name] or candidates
    return candidates[0] if len(candidates) == 1 else None
