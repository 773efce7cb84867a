"""The command line: one subcommand a verb. Every command is a shell over the functions that Blender uses too."""

from __future__ import annotations

import argparse
import re
import sys
from typing import get_args

import tyro

from ..core.errors import UserError
from ..core.former_names import FLAGS, SETTINGS
from ..core.protocol.config import DEFAULT_PRESET, PRESETS, Start
from .capture import capture
from .check import check
from .convert import convert
from .datasets import export_cameras, export_colmap
from .doctor import doctor
from .estimate import estimate
from .evaluate import evaluate
from .frames import frames
from .instant import instant
from .job import job
from .jobs import jobs
from .photos import poses
from .render import render
from .report import report
from .resume import resume
from .serve import serve
from .terminal import print_error
from .train import train
from .view import view

app = tyro.extras.SubcommandApp()
VERBS = (check, estimate, frames, capture, poses, train, resume, jobs, evaluate, report, render, view, convert, export_colmap,
         export_cameras, instant, serve, job, doctor)
for verb in VERBS:
    app.command(verb)


def with_preset(arguments: list[str]) -> list[str]:
    """The flags that a training's preset stands for, before all others, so that those win."""
    if arguments[:1] not in (["train"], ["estimate"], ["capture"]):
        return arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", default=DEFAULT_PRESET)
    try:
        preset = PRESETS.get(parser.parse_known_args(arguments)[0].preset)
    except argparse.ArgumentError:  # no name follows: tyro says so
        return arguments
    flags = [word for name, value in (preset.settings if preset else {}).items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*arguments[:1], *flags, *arguments[1:]]


def with_current_names(arguments: list[str]) -> list[str]:
    """Flags of settings under their current names, where a script uses a former one: --no-trial is --no-smoke-test."""
    return [current_flag(word) for word in arguments]


def current_flag(word: str) -> str:
    """One word of a command line; others than flags with a former name stay as they are."""
    parts = re.fullmatch(r"--(no[-_])?([a-z_-]+)(=.*)?", word, re.DOTALL)
    current = parts and (SETTINGS | FLAGS).get(parts[2].replace("-", "_"))
    return f"--{parts[1] or ''}{current.replace('_', '-')}{parts[3] or ''}" if parts and current else word


def with_start_file(arguments: list[str]) -> list[str]:
    """--start takes files of splats and folders of trainings too, beside the words of the setting: those are flags of another name."""
    def renamed(index: int, word: str) -> str:
        flag, _, value = word.partition("=")
        following = value or next(iter(arguments[index + 1 :]), "")
        return word if flag != "--start" or following in get_args(Start) or following.startswith("--") else word.replace(
            "--start", "--start-file", 1)

    return [renamed(index, word) for index, word in enumerate(arguments)] if arguments[:1] in (["train"], ["estimate"]) else arguments


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        words = with_preset(with_start_file(with_current_names(arguments)))
        return app.cli(args=words, prog="splatwright", description="Trains 3D Gaussian splats.") or 0
    except UserError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
