"""Help: question marks in panels and F1 over buttons open pages that lie in the extension."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

import pytest

from tests.blender.conftest import REPOSITORY, module
from tests.untyped import bpy


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that a browser was asked to show."""
    files: list[Path] = []
    monkeypatch.setattr(webbrowser, "open", lambda url, *_: files.append(Path(url2pathname(unquote(urlparse(url).path)))))
    return files


def test_every_panels_question_mark_opens_its_page(opened: list[Path]) -> None:
    panels = [getattr(bpy.types, name) for name in dir(bpy.types) if name.startswith("SPLATWRIGHT_PT_")]
    pages = sorted({panel.guide_page for panel in panels} - {""})
    assert len(pages) >= 5
    for page in pages:
        assert bpy.ops.splatwright.open_guide(page=page) == {"FINISHED"}
    assert [path.stem for path in opened] == pages and all(path.is_file() for path in opened)


def test_f1_over_any_button_opens_a_page(opened: list[Path]) -> None:
    found = {}
    for name in dir(bpy.ops.splatwright):
        address = bpy.types.WM_OT_doc_view_manual._lookup_rna_url(f"bpy.ops.splatwright.{name}", verbose=False)
        found[name] = Path(url2pathname(unquote(urlparse(address).path)))
    assert all(path.is_file() and REPOSITORY in path.parents for path in found.values()), found
    assert found["capture_dataset"].stem == "first_splat" and found["crop"].stem == "layout_and_export"
    assert found["cameras_from_photos"].stem == "photos" and found["run_batch"].stem == "batch"


def test_built_pages_come_before_their_texts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    guide = module("addon.ui.guide")
    monkeypatch.setattr(guide, "ROOT", tmp_path)
    assert guide.page("index") == tmp_path / "docs" / "index.md"
    (tmp_path / "help").mkdir()
    (tmp_path / "help" / "index.html").touch()
    assert guide.page("index") == tmp_path / "help" / "index.html"


def test_every_page_that_is_named_is_written() -> None:
    guide = module("addon.ui.guide")
    assert all((REPOSITORY / "docs" / f"{name}.md").is_file() for name in guide.OPERATORS)
