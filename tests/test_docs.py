"""The guide: it names buttons as Blender shows them, its commands are understood, and its site builds from what is here alone."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from engine.cli import main
from tools import guide_pictures

ROOT = Path(__file__).resolve().parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SPEAKING = [*(ROOT / "addon").rglob("*.py"), *(ROOT / "engine" / "core" / "protocol").glob("*.py")]
SHOWN = "\n".join(path.read_text(encoding="utf-8") for path in SPEAKING)
"""What the add-on shows stands in its strings, and in those of the settings."""

BLENDERS_OWN = {"Find Missing Files"}
"""Labels of Blender that the guides name."""


def labels(text: str) -> list[str]:
    """What stands in bold and looks like a label: words in title case, without a full stop or a figure."""
    bold = (" ".join(words.split()) for words in re.findall(r"\*\*([^*|]+)\*\*", text))
    return [words for words in bold if re.fullmatch(r"[A-Z][\w-]*( ([A-Z][\w-]*|to|in|and|of|from|the))*", words)]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_labels_in_the_guides_are_those_of_the_interface(guide: Path) -> None:
    named = set(labels(guide.read_text(encoding="utf-8"))) - BLENDERS_OWN
    assert [label for label in named if not re.search(rf'"{re.escape(label)}\b', SHOWN)] == []


def test_labels_are_found_in_bold_text() -> None:
    assert labels("Press **Train** and **Run\nAgain**; **it is** **39.0**, **When it ends:** or **Blocks.**") == ["Train", "Run Again"]


def commands(text: str) -> Iterator[str]:
    """The lines of a guide's code blocks that call splatwright, without comments."""
    for line in re.findall(r"^ *splatwright .*$", text, re.MULTILINE):
        yield line.partition(" # ")[0].strip()


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_the_command_line_understands_every_command(guide: Path) -> None:
    for command in commands(guide.read_text(encoding="utf-8")):
        words = shlex.split(command.replace("*.blend", "a.blend"))[1:]
        understood(main.with_preset(main.with_start_file(words)))


def understood(words: list[str]) -> None:
    """Let tyro read the words of a command line, and do nothing about them."""
    [verb] = [verb for verb in main.VERBS if verb.__name__.replace("_", "-") == words[0]]

    @functools.wraps(verb)
    def nothing(*_: object, **__: object) -> int:
        return 0

    assert tyro.cli(nothing, args=words[1:]) == 0


def test_a_flag_that_is_not_there_is_noticed() -> None:
    with pytest.raises(SystemExit):
        understood(["train", "photos", "--no-such-flag"])


def test_the_pictures_of_the_window_are_those_that_pages_show() -> None:
    """Each is made by `make guide-pictures`, shown by a page, and small enough to load."""
    shown = {name for guide in GUIDES for name in re.findall(r"\]\(window/([\w-]+)\.png\)", guide.read_text(encoding="utf-8"))}
    files = {path.stem: path for path in (ROOT / "docs" / "window").glob("*.png")}
    assert shown == set(files) == {picture.name for picture in guide_pictures.PICTURES}
    assert all(path.stat().st_size <= guide_pictures.LARGEST for path in files.values())


def test_a_picture_is_cut_and_shrunk_until_it_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide_pictures, "TARGET", tmp_path)
    screen = np.random.default_rng(0).integers(0, 256, (800, 1280, 3), np.uint8)
    Image.fromarray(screen).save(tmp_path / "01_noise.png")
    made = guide_pictures.make(tmp_path / "01_noise.png", guide_pictures.Picture("noise", "noise", (0, 0, 640, 400)))
    with Image.open(made) as found:
        assert made.stat().st_size <= guide_pictures.LARGEST and 200 < found.width < 640
        assert abs(found.width / found.height - 1.6) < 0.02


class Links(HTMLParser):
    """What a page loads by itself: scripts, style sheets, pictures, fonts."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        source = values.get("src") or (values.get("href") if tag == "link" else "") or ""
        if source and values.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("the guide") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--config-file", str(ROOT / "mkdocs.yml"), "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr  # strict: broken links and pages without a place fail
    return folder


def test_the_site_loads_nothing_from_outside(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        links = Links()
        links.feed(page.read_text(encoding="utf-8"))
        assert links.loaded and not [source for source in links.loaded if re.match(r"(https?:)?//", source)], page
    assert not [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", path.read_text(encoding="utf-8"))]


def test_the_reference_is_generated_from_the_code(site: Path) -> None:
    pages = {name: (site / "reference" / f"{name}.html").read_text(encoding="utf-8") for name in ("commands", "settings", "modules")}
    assert all(verb.__name__.replace("_", "-") in pages["commands"] for verb in main.VERBS)
    assert "--max-gaussians" in pages["settings"] and "read_splats" in pages["modules"]
