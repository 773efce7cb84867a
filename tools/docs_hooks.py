"""Pages of the guide that are written by what they describe: commands, settings and public modules. mkdocs calls `on_files`."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path

from engine.cli import main  # noqa: E402
from engine.core.protocol.config import PRESETS, TrainConfig  # noqa: E402
from engine.core.protocol.settings import About, Settings, about  # noqa: E402
from engine.core.protocol.sfm_options import FrameOptions, PosesOptions  # noqa: E402


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The site's address is the project's one setting."""
    site = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["splatwright"]["site"]
    config.site_url = f"{site.rstrip('/')}/" if site else ""
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, text in (("commands", commands()), ("settings", settings()), ("modules", modules())):
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def commands() -> str:
    """Every verb of the command line, as its --help tells it."""
    parts = ["# Commands", "What `splatwright VERB --help` prints. Flags of a training are described in [Settings](settings.md)."]
    for verb in main.VERBS:
        name = verb.__name__.replace("_", "-")
        parts += [f"## {name}", f"```text\n{help_of(name)}\n```"]
    return "\n\n".join(parts) + "\n"


def help_of(verb: str) -> str:
    """What --help prints of a verb, in lines that fit the page."""
    said = io.StringIO()
    width = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "84"
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main.app.cli(args=[verb, "--help"], prog="splatwright")
    finally:
        os.environ.pop("COLUMNS") if width is None else os.environ.update(COLUMNS=width)
    return re.sub(r"\x1b\[[0-9;]*m", "", said.getvalue()).strip()


def settings() -> str:
    """Every setting of trainings, of finding cameras and of taking frames, with flag, range and default; and the presets."""
    presets = [(f"`{name}`", ", ".join(f"`{key}` {value}" for key, value in preset.settings.items())) for name, preset in PRESETS.items()]
    parts = ["# Settings", "Flags of the command line, fields in Python, and, where the panel shows them, labels in Blender.",
             "## Presets", table(("Preset", "Settings"), presets)]
    kinds: dict[str, type[Settings]] = {"Training": TrainConfig, "Cameras from photos": PosesOptions, "Frames of a video": FrameOptions}
    for title, kind in kinds.items():
        parts += [f"## {title}", settings_table(kind)]
    return "\n\n".join(parts) + "\n"


def settings_table(kind: type[Settings]) -> str:
    """A row for each field of a dataclass of settings."""
    rows = []
    for name, field in kind.__dataclass_fields__.items():
        known = about(kind, name)
        rows.append((f"`--{name.replace('_', '-')}`", known.label, known.text, allowed(known, field.default), shown(field.default)))
    return table(("Flag", "Label", "What it does", "May be", "Default"), rows)


def allowed(known: About, default: Any) -> str:
    """What a setting may be."""
    if known.choices:
        return ", ".join(known.choices)
    return "yes or no" if isinstance(default, bool) else f"{known.low} to {known.high}"


def shown(value: Any) -> str:
    """A default as people write it."""
    return {True: "yes", False: "no", "": "none"}.get(value, str(value)) if isinstance(value, (bool, str)) else str(value)


def modules() -> str:
    """The docstrings of the public modules, as docs/python.md lists them."""
    listed = re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.MULTILINE)
    head = "# Modules\n\nThe public modules of the package `splatwright`; in a checkout it is called `engine`.\n"
    return "\n\n".join([head, *(f"::: engine.{name}\n    options:\n      heading: splatwright.{name}" for name in listed)]) + "\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
