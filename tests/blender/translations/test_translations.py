"""Every text and every sentence that somebody can meet in Blender has an entry, and translations have the fields of the English text."""

from __future__ import annotations

from collections.abc import Iterator
from string import Formatter
from types import ModuleType

import bpy
import pytest

from tests.blender.conftest import module
from tools.sentences import read_sentences
from tools.translations import all_entries

LANGUAGES = ("de_DE", "fr_FR", "ja_JP", "zh_HANS")


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The translations, as Blender's interface in German asks for them; this bpy is built without languages."""
    translations = module("addon.translations")
    monkeypatch.setattr(translations, "language", lambda: "de_DE")
    translations._recognized.cache_clear()
    yield translations
    translations._recognized.cache_clear()


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.fixture(scope="module")
def entries() -> set[str]:
    """All that must have a translation; reading every source takes a while."""
    return set(all_entries(bpy))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_text_has_an_entry(name: str, entries: set[str]) -> None:
    """`python tools/translations.py` writes what is missing, empty."""
    catalogue = module("addon.translations").catalogue(name)
    assert set(catalogue) == entries
    assert [key for key, text in catalogue.items() if not text or "\n" in key] == [], "tooltips are of one line on every Python"


@pytest.mark.parametrize("name", LANGUAGES)
def test_fields_are_those_of_the_english_text(name: str) -> None:
    translations = module("addon.translations")
    wrong = [key for key, text in translations.catalogue(name).items() if text and fields(text) != fields(translations.without_code(key))]
    assert wrong == []


def test_every_sentence_can_be_read() -> None:
    """A sentence that no template can say names its values, or its parts are marked with phrase()."""
    assert read_sentences().problems == []


def test_a_sentence_is_spoken_by_its_code(german: ModuleType) -> None:
    error = module("engine.core.errors").UserError("The lens model X is not supported.", "", "lens.unsupported", other="X")
    assert german.spoken(error) == "Das Linsenmodell X wird nicht unterstützt."
    assert german.spoken(module("engine.core.errors").UserError("The lens model X is not supported.", "", "lens.unsupported")) \
        == "The lens model X is not supported.", "without its values the sentence stays English"


def test_a_sentence_without_a_code_is_recognized(german: ModuleType) -> None:
    assert german.sentence("", "The lens model X is not supported.", ()) == "Das Linsenmodell X wird nicht unterstützt."


def test_texts_with_figures(german: ModuleType) -> None:
    assert german.tr("{count} images are excluded", count=3) == "3 Bilder sind ausgeschlossen"
    assert german.tr("{count} unknown things", count=3) == "3 unknown things"


def test_older_names_of_a_language() -> None:
    nearest = module("addon.translations").nearest
    assert [nearest(name) for name in ("zh_CN", "zh_HANS", "de", "de_DE", "nl_NL", "")] == ["zh_HANS", "zh_HANS", "de_DE", "de_DE", "", ""]
