"""The command line: one subcommand a verb. Every command is a shell over the functions that Blender uses too."""

from __future__ import annotations

import argparse
import sys

import tyro

from .commands.check import check
from .commands.convert import convert
from .commands.datasets import export_cameras, export_colmap
from .commands.doctor import doctor
from .commands.evaluate import evaluate
from .commands.frames import frames
from .commands.instant import instant
from .commands.jobs import jobs
from .commands.photos import poses
from .commands.render import render
from .commands.report import report
from .commands.serve import serve
from .commands.train import train
from .commands.view import view
from .core.config import DEFAULT_PRESET, PRESETS
from .core.errors import UserError
from .terminal import print_error

app = tyro.extras.SubcommandApp()
for verb in (check, frames, poses, train, jobs, evaluate, report, render, view, convert, export_colmap, export_cameras, instant, serve,
             doctor):
    app.command(verb)


def with_preset(arguments: list[str]) -> list[str]:
    """The flags that a training's preset stands for, before all others, so that those win."""
    if arguments[:1] != ["train"]:
        return arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", default=DEFAULT_PRESET)
    try:
        preset = PRESETS.get(parser.parse_known_args(arguments)[0].preset)
    except argparse.ArgumentError:  # no name follows: tyro says so
        return arguments
    flags = [word for name, value in (preset.settings if preset else {}).items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*arguments[:1], *flags, *arguments[1:]]


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        return app.cli(args=with_preset(arguments), prog="splatwright", description="Trains 3D Gaussian splats.") or 0
    except UserError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
