"""The documents name buttons and settings as Blender shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "addon").rglob("*.py"))
"""What the add-on shows stands in its strings."""


def labels(text: str) -> list[str]:
    """What stands in bold and looks like a label: words in title case, without a full stop or a figure."""
    bold = (" ".join(words.split()) for words in re.findall(r"\*\*([^*|]+)\*\*", text))
    return [words for words in bold if re.fullmatch(r"[A-Z][\w-]*( ([A-Z][\w-]*|to|in|and|of|from|the))*", words)]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_labels_in_the_guides_are_those_of_the_interface(guide: Path) -> None:
    unknown = [label for label in labels(guide.read_text(encoding="utf-8")) if not re.search(rf'"{re.escape(label)}\b', SHOWN)]
    assert unknown == []


def test_labels_are_found_in_bold_text() -> None:
    assert labels("Press **Train** and **Run\nAgain**; **it is** **39.0**, **When it ends:** or **Blocks.**") == ["Train", "Run Again"]
