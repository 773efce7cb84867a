"""`python -m engine.environment install ROOT …`: what Blender starts, with any Python. Progress and the outcome are lines of JSON."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ..core.errors import UserError
from ..core.files import disk_error
from .backends import backend_named
from .folder import EngineFolder
from .install import InstallRequest, install
from .plan import choose, look_around


def main(arguments: list[str]) -> int:
    """Entry point. Exit status 0: done; 1: the last line says why not."""
    options = parser().parse_args(arguments)
    try:
        write_line(run(options))
    except UserError as error:
        write_line({"error": error.message, "hint": error.hint})
        return 1
    except OSError as error:
        problem = disk_error(Path(error.filename or "A file"), error)
        write_line({"error": problem.message, "hint": problem.hint})
        return 1
    return 0


def run(options: argparse.Namespace) -> dict[str, object]:
    """What the command asks for, and its outcome."""
    match options.command:
        case "plan":
            plan = choose(look_around(options.wheels))
            return {"backend": plan.backend.name, "message": plan.message, "hint": plan.hint}
        case "install":
            backend = backend_named(options.backend) if options.backend else choose(look_around(options.wheels)).backend
            request = InstallRequest(options.root, backend, options.python, existing(options.wheels))
            return {"python": str(install(request, lambda step: write_line(asdict(step))).python)}
        case _:
            EngineFolder(options.root).remove()
            return {"removed": str(options.root)}


def existing(wheels: Path | None) -> Path | None:
    """The folder itself, None for none; UserError when it holds no wheels."""
    if wheels is not None and not any(wheels.glob("*.whl")):
        raise UserError(f"{wheels} holds no wheels.", "Choose the folder with the .whl files, or leave it empty to install from the index.",
                        "install.no_wheels", wheels=wheels)
    return wheels


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="splatwright.environment")
    commands = made.add_subparsers(dest="command", required=True)
    for name in ("plan", "install", "uninstall"):
        command = commands.add_parser(name)
        if name != "plan":
            command.add_argument("root", type=Path)
        if name != "uninstall":
            command.add_argument("--wheels", type=Path)
        if name == "install":
            command.add_argument("--backend", default="")
            command.add_argument("--python", type=Path, default=Path(sys.executable))
    return made


def write_line(answer: dict[str, object]) -> None:
    """Print one line of JSON for the parent process."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
