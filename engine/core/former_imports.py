"""Imports of scripts that name a module by its former path: public modules go on working, for others one sentence says where they are.

    import splatwright.core.ply                         # DeprecationWarning, and the module splatwright.core.formats.ply
    import splatwright.training.room                    # ModuleNotFoundError: splatwright.training.room is now splatwright.training.shrink…
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from .former_names import MEMBERS, MODULES, PUBLIC

PACKAGE = __name__.removesuffix(".core.former_imports")
"""`splatwright` where it is installed, `engine` beside its sources, a longer name inside Blender."""


class FormerPaths:
    """For sys.meta_path: asked for modules that no one else has found. Not of importlib.abc, which takes long to import."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a public module's former path; ModuleNotFoundError with a sentence for another module that has moved."""
        former = fullname.removeprefix(f"{PACKAGE}.")
        if former == fullname or former not in MODULES:
            return None
        if MODULES[former] not in PUBLIC:
            raise ModuleNotFoundError(moved(former, MODULES[former]), name=fullname)
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module of the former path with what the current one holds."""
        former = module.__name__.removeprefix(f"{PACKAGE}.")
        warnings.warn(moved(former, MODULES[former]), DeprecationWarning, stacklevel=2)
        current = import_module(f"{PACKAGE}.{MODULES[former]}")
        module.__dict__.update({name: value for name, value in vars(current).items() if not name.startswith("__")})
        module.__dict__.update({name: member(place) for name, place in MEMBERS.get(former, {}).items()})


def install() -> None:
    """Let Python ask here for modules of the former paths, after all else. Does nothing inside Blender, where no script knows them."""
    if "." not in PACKAGE:
        sys.meta_path.append(FormerPaths())


def former_members(module: str) -> Callable[[str], object]:
    """A `__getattr__` for a module or package of which something has moved away, or has another name."""
    former = module.removeprefix(f"{PACKAGE}.")

    def member_of(name: str) -> object:
        place = MEMBERS[former].get(name)
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if place.rpartition(".")[0] not in PUBLIC:
            raise ImportError(moved(f"{former}.{name}", place), name=module)
        warnings.warn(moved(f"{former}.{name}", place), DeprecationWarning, stacklevel=2)
        return member(place)

    return member_of


def member(place: str) -> object:
    """What a module of ours holds, by `module.name`."""
    module, _, name = place.rpartition(".")
    return getattr(import_module(f"{PACKAGE}.{module}"), name)


def moved(former: str, current: str) -> str:
    """For people who use a former name."""
    return f"{PACKAGE}.{former} is now {PACKAGE}.{current}: import it from there."
