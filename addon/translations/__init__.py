"""The add-on in other languages: one file a language beside this module, and what looks sentences up in it.

Blender translates labels and tooltips by itself once they are registered. tr() is for texts that contain figures or names, spoken() for
the sentences of the engine. CONTRIBUTING.md tells how the files are written; tools/translations.py keeps them complete.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, Protocol

import bpy

from ...engine.core.errors import Value, Values
from ..typed import current_context

FOLDER = Path(__file__).resolve().parent
LANGUAGES = ("de_DE", "fr_FR", "ja_JP", "zh_HANS")
"""Blender's names of the languages that have a file."""

BAR = " | "
CODED = re.compile(rf"([a-z0-9_]+\.[a-z0-9_.]+){re.escape(BAR)}")
"""How the key of an engine's sentence begins: its code before its English text."""

HINT = ".hint"
"""What the code of a hint ends with."""

CONTEXTS = ("*", "Operator")
"""Contexts in which Blender looks labels up."""

REST = re.compile(r"(.*) and (\d+) more")
"""How engine/core/text.py ends a list of names that is too long."""

FIELD = re.compile(r"(?<!{){(\w+)[^{}]*}")
"""A field of a template."""

SENTENCES = re.compile(r"(?<=[.!?]) ")


class Said(Protocol):
    """What carries a sentence with its code: UserError, Finding, Failed."""

    @property
    def message(self) -> str: ...
    @property
    def hint(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def values(self) -> Values: ...


def tr(text: str, /, **values: Any) -> str:
    """A text in Blender's language, its fields {…} filled with `values`; in English where the language does not have it."""
    return _filled(_entries(language()).get(text, ""), text, values)


def spoken(said: Said) -> str:
    """Message and hint of an error, a finding or a failure in Blender's language."""
    return f"{spoken_message(said)} {_part(said.code, HINT, said.hint, said.values)}".strip()


def spoken_message(said: Said) -> str:
    """The message alone."""
    return sentence(said.code, said.message, said.values)


def sentence(code: str, message: str, values: Values) -> str:
    """A message in Blender's language by its code; by its text where it has no code, or the language does not know it."""
    return _part(code, "", message, values)


def language() -> str:
    """The file for the language that Blender's interface speaks; empty for English and all others."""
    if not current_context().preferences.view.use_translate_interface:
        return ""
    return nearest(bpy.app.translations.locale)


def nearest(locale: str) -> str:
    """Which of LANGUAGES a locale of Blender is; empty when none. Older versions call zh_HANS zh_CN."""
    if locale in ("zh_CN", "zh"):
        return "zh_HANS"
    return locale if locale in LANGUAGES else next((each for each in LANGUAGES if each.partition("_")[0] == locale), "")


def catalogue(name: str) -> dict[str, str]:
    """The entries of a language: English text, or code and English text -> translation, empty where it is missing."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def without_code(key: str) -> str:
    """The English text of an entry."""
    return CODED.sub("", key, count=1)


@functools.cache
def _entries(name: str) -> dict[str, str]:
    """Translations by text, and by code."""
    return {} if not name else {_lookup(key): text for key, text in catalogue(name).items() if text}


def _lookup(key: str) -> str:
    found = CODED.match(key)
    return f"{found[1]}{BAR}" if found else key


def _part(code: str, part: str, english: str, values: Values) -> str:
    """A message, or a hint, by its code, else by its text, else sentence by sentence."""
    entries = _entries(language())
    if not english or not entries:
        return english
    found = entries.get(f"{code}{part}{BAR}") if code else None
    return _filled(found, english, {name: _word(value, entries) for name, value in values}) if found else str(_word(english, entries))


def _word(value: Value, entries: dict[str, str]) -> Value:
    """A value as it stands in a translated sentence: words that the language has are translated too."""
    if not isinstance(value, str):
        return value
    if value in entries:
        return entries[value]
    rest = REST.fullmatch(value)
    if rest:
        return _filled(entries.get("{names} and {count} more", ""), value, {"names": rest[1], "count": rest[2]})
    found = _recognized(value)
    if found:
        return _filled(entries.get(found[0], ""), value, {name: _word(part, entries) for name, part in found[1].items()})
    parts = SENTENCES.split(value)
    return " ".join(str(_word(each, entries)) for each in parts) if len(parts) > 1 else value


@functools.lru_cache(maxsize=500)
def _recognized(text: str) -> tuple[str, dict[str, str]] | None:
    """The entry that a text without a code was made from, and what stands in its fields; None where there is none."""
    for key, pattern in _patterns(language()):
        found = pattern.fullmatch(text)
        if found and text not in found.groupdict().values():
            return key, found.groupdict()
    return None


@functools.cache
def _patterns(name: str) -> list[tuple[str, re.Pattern[str]]]:
    """What texts that hold fields look like, the longest first."""
    keys = [key for key, text in catalogue(name).items() if text and re.search(r"[A-Za-z]{3,}", FIELD.sub("", without_code(key)))]
    fields = [(key, without_code(key)) for key in keys if FIELD.search(without_code(key))]
    return [(_lookup(key), re.compile(_pattern(text), re.DOTALL)) for key, text in sorted(fields, key=lambda each: -len(each[1]))]


def _pattern(template: str) -> str:
    """A template as a regular expression: each field is a group, one that stands twice the same text."""
    made, end, known = "", 0, set()
    for field in FIELD.finditer(template):
        made += re.escape(template[end : field.start()].replace("{{", "{").replace("}}", "}"))
        made += f"(?P={field[1]})" if field[1] in known else f"(?P<{field[1]}>.*?)"
        known.add(field[1])
        end = field.end()
    return made + re.escape(template[end:].replace("{{", "{").replace("}}", "}"))


def _filled(template: str | None, english: str, values: dict[str, Any]) -> str:
    """The translation with its fields filled in; the English text where it is missing, or asks for what is not there."""
    try:
        return template.format(**values) if template else english.format(**values) if values else english
    except (KeyError, IndexError, ValueError, AttributeError):
        return english


def register() -> None:
    found = {}
    for name in LANGUAGES:
        texts = {(context, key): text for key, text in catalogue(name).items() if text and not CODED.match(key) for context in CONTEXTS}
        found[name] = texts
    bpy.app.translations.register(__package__, {**found, "zh_CN": found["zh_HANS"]})


def unregister() -> None:
    bpy.app.translations.unregister(__package__)
    for cache in (_entries, _patterns, _recognized):
        cache.cache_clear()
