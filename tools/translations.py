"""Keeps the add-on's translations complete: `python tools/translations.py` writes what is missing, empty, and sorts the files.

With --list FILE it writes everything that is translated as JSON instead, with its kind and the place that says it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tools.sentences import Sentences, read_sentences  # noqa: E402

FOLDER = REPOSITORY / "addon" / "translations"
EXTENSION = "bl_ext.user_default.splatwright"
NOT_WORDS = ("Former name of ", "Splatwright ", "Unique name used in ")
"""How texts begin that are the same in all languages, or are Blender's own."""


def main() -> None:
    """Write the missing entries, or the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", type=Path, metavar="FILE")
    options = parser.parse_args()
    entries = all_entries(enabled())
    if options.list:
        options.list.write_text(as_json(entries), encoding="utf-8")
        return
    for file in sorted(FOLDER.glob("*.json")):
        there = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(as_json({key: there.get(key, "") for key in {**there, **entries}}), encoding="utf-8")
        gone = sorted(set(there) - set(entries))
        print(f"{file.name}: {sum(not there.get(key) for key in entries)} missing, {len(gone)} superfluous {gone or ''}")


def as_json(entries: dict[str, Any]) -> str:
    """One entry a line, sorted."""
    lines = (f"{json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}" for key, value in sorted(entries.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def enabled() -> Any:
    """bpy with this repository enabled as an extension, in a folder of its own."""
    resources = Path(tempfile.mkdtemp(prefix="splatwright-translations-"))
    (resources / "extensions" / "user_default").mkdir(parents=True)
    (resources / "extensions" / "user_default" / "splatwright").symlink_to(REPOSITORY, target_is_directory=True)
    os.environ["BLENDER_USER_RESOURCES"] = str(resources)
    bpy = importlib.import_module("bpy")
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    return bpy


def all_entries(bpy: Any, sentences: Sentences | None = None) -> dict[str, dict[str, str]]:
    """The key of every entry -> its kind and the place that says it."""
    found = sentences or read_sentences()
    texts = {text: {"kind": "text", "place": place} for text, place in found.texts.items()}
    labels = {text: {"kind": "label", "place": place} for text, place in registered_texts(bpy).items()}
    coded = {f"{code} | {text}": {"kind": "sentence", "place": found.places[code]} for code, text in found.coded.items()}
    every = {**texts, **labels, **coded}
    return {key: value for key, value in every.items() if any(letter.isalpha() for letter in key) and not key.startswith(NOT_WORDS)}


def registered_texts(bpy: Any) -> dict[str, str]:
    """Labels and tooltips of everything that the add-on has registered."""
    found: dict[str, str] = {}
    bases = (bpy.types.Operator, bpy.types.Panel, bpy.types.Menu, bpy.types.PropertyGroup, bpy.types.UIList, bpy.types.AddonPreferences)
    for kind in (kind for base in bases for kind in _below(base) if kind.__module__.startswith(EXTENSION)):
        rna = getattr(kind, "bl_rna", None)
        if rna is None or not kind.is_registered:
            continue
        if issubclass(kind, bpy.types.Operator):
            space, verb = kind.bl_idname.split(".")
            shown = getattr(getattr(bpy.ops, space), verb).get_rna_type()
            found |= dict.fromkeys((shown.name, shown.description), kind.__name__)
        elif issubclass(kind, (bpy.types.Panel, bpy.types.Menu)):
            found |= dict.fromkeys((kind.bl_label,), kind.__name__)
        for name in {name for each in kind.__mro__ for name in inspect.get_annotations(each)}:
            if name in rna.properties and not name.startswith("bl_"):
                found |= dict.fromkeys(_of_property(rna.properties[name]), f"{kind.__name__}.{name}")
    return {text: place for text, place in found.items() if text}


def _of_property(known: Any) -> list[str]:
    items = known.enum_items if known.type == "ENUM" else ()
    return [known.name, known.description, *(text for item in items for text in (item.name, item.description))]


def _below(kind: type) -> list[type]:
    return [each for below in kind.__subclasses__() for each in (below, *_below(below))]


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # bpy 4.5 hangs at interpreter exit while classes are registered
