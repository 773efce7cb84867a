"""The page about a training: what it says, that it stands alone, and how a browser shows it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import UserError
from engine.core.images.png import decode_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Evaluated, Failed, Finding, Finished, Progress, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.report.curves import chart, short, thinned, ticks
from engine.report.page import image_sizes
from engine.report.strips import FULL_ERROR, HEAT, heat, strip
from engine.report.writing import write_report
from engine.training.evaluate import ViewScore
from engine.worker import work
from tests.scenes import write_ball_dataset

CONFIG = TrainConfig(backend="cpu", max_steps=60, resolution=64, max_gaussians=500, sh_degree=1, threads=1, eval_every=20, seed=7)
BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (path := shutil.which(name))), "")
VOID = {"meta", "img", "br", "circle", "path"}


class Strict(HTMLParser):
    """Fails on elements that are not closed in the order in which they were opened; notes what the page would fetch."""

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href") and not (value or "").startswith("data:")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A job that the worker did, its report included."""
    folder = tmp_path_factory.mktemp("report")
    dataset = write_ball_dataset(folder / "ball", alpha=False).folder
    job = JobFolder(folder / "a job")
    job.write_spec(JobSpec(dataset, CONFIG, "Ball <&> 玉"))
    assert work(job) == 0
    return job


def running_job(folder: Path, *events: object) -> JobFolder:
    job = JobFolder(folder)
    job.write_spec(JobSpec(folder / "gone", CONFIG, "Half way"))
    for event in (Started("cpu", 0, 60, 14, 2, 400), Progress(20, 60, 0.2, 400, 50.0, 1.0), Evaluated(20, 17.5, 0.7, 2),
                  Progress(40, 60, 0.1, 450, 50.0, 0.5), *events):
        job.append_event(event)  # type: ignore[arg-type]
    return job


def test_a_worker_leaves_a_page_that_needs_nothing_else(trained: JobFolder) -> None:
    text = trained.page.read_text(encoding="utf-8")
    page = Strict(text)
    assert page.fetched == [] and "http" not in text.replace("http://www.w3.org", "")
    report = json.loads(trained.report.read_text())
    assert f"{report['psnr']:.2f} dB" in text and f"{report['ssim']:.4f}" in text and report["sha256"] in text
    assert "Ball &lt;&amp;&gt; 玉" in text and "Finished after 60 steps" in text
    for said in ("mean of 2 held-out views", "PSNR on held-out views", "Seed</td><td class=\"number\">7", "numpy", "view_008.png"):
        assert said in text
    assert f'<tr class=changed><td>seed</td><td class="number">{CONFIG.seed}' in text


def test_pictures_are_truth_render_and_error(trained: JobFolder) -> None:
    pictures = [decode_png(base64.b64decode(found)) for found in
                re.findall(r"data:image/png;base64,([^\"]+)", trained.page.read_text(encoding="utf-8"))]
    assert len(pictures) == 6
    truth, render, error = (picture[..., :3].astype(np.float32) / 255 for picture in pictures[:3])
    difference = np.abs(truth - render).mean(axis=2)
    assert 0 < difference.mean() < 0.3 and np.abs(heat(difference) / 255 - error).mean() < 0.02


def test_the_page_of_a_training_that_has_not_ended(tmp_path: Path) -> None:
    text = write_report(running_job(tmp_path / "job")).read_text(encoding="utf-8")
    Strict(text)
    assert "At step 40 of 60" in text and "no result yet" in text and "17.50 dB" in text and "data:image" not in text


def test_the_page_of_a_training_that_failed_or_held_nothing_out(tmp_path: Path) -> None:
    failed = running_job(tmp_path / "failed", Finding("error", "Black <images>.", "Light them."), Failed("All is black.", "Light it."))
    text = write_report(failed).read_text(encoding="utf-8")
    assert "Failed: All is black. Light it." in text and "Black &lt;images&gt;." in text and "finding error" in text
    alone = running_job(tmp_path / "alone", Finished(60, 400, None, None, 2.0, False))
    alone.report.write_text(json.dumps({"step": 60, "gaussians": 400, "psnr": None, "ssim": None, "seconds": 2.0, "views": []}))
    text = write_report(alone).read_text(encoding="utf-8")
    assert "No view was held out: the quality was not measured." in text and "PSNR, mean" not in text
    assert "There are no images: " in text


def test_what_an_earlier_end_reported_is_left_out_while_it_goes_on(tmp_path: Path) -> None:
    job = running_job(tmp_path / "job", Finished(60, 400, 30.0, 0.9, 2.0, False), Started("cpu", 60, 90, 14, 2, 400))
    job.report.write_text(json.dumps({"step": 60, "gaussians": 400, "psnr": 99.0, "ssim": 0.9, "seconds": 2.0}))
    assert "99.00" not in write_report(job).read_text(encoding="utf-8")


def test_a_folder_that_is_no_job(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a job folder"):
        write_report(JobFolder(tmp_path))
    assert not list(tmp_path.iterdir())


def test_where_the_images_grow_is_drawn() -> None:
    sizes = image_sizes(TrainConfig(max_steps=1000))
    assert sizes == {150: "half size", 600: "full size"} and image_sizes(TrainConfig(quarter_until=0.5, half_until=0.2)) != sizes
    drawn = chart("Loss", [(0, 0.2), (400, 0.1)], 3, turns=sizes)
    assert drawn.count('class="turn"') == 1 and "half size" in drawn and "full size" not in drawn


def test_charts() -> None:
    assert chart("Loss", [(1, 0.5)], 3) == ""
    drawn = chart("A <b>", [(0, 1.0), (500, 3.0), (1000, float("nan")), (1500, 2.0)], 1, " dB")
    assert "A &lt;b&gt;" in drawn and "2.0 dB" in drawn and drawn.count("<circle") == 3 and "nan" not in drawn
    assert len(thinned([(float(i), 0.0) for i in range(5000)])) <= 300 and thinned([(float(i), 0.0) for i in range(5000)])[-1][0] == 4999
    assert ticks(0, 10, 4) == [0, 2.5, 5, 7.5, 10] and len(ticks(3, 3, 4)) >= 2
    assert [short(value) for value in (1_500_000, 20_000, 0.25)] == ["1.5M", "20k", "0.25"]


def test_error_colours() -> None:
    assert (heat(np.array([[0.0, FULL_ERROR, 1.0]]))[0] == HEAT[[0, -1, -1]]).all()
    wide = np.zeros((100, 1000, 3), np.float32)
    assert decode_png(strip(ViewScore("a", 1, 1), wide, wide).truth).shape == (48, 480, 3)


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")
@pytest.mark.parametrize(("scheme", "number", "bright"), [("light", 1, True), ("dark", 0, False)])
def test_a_browser_shows_it_by_day_and_by_night(trained: JobFolder, tmp_path: Path, scheme: str, number: int, bright: bool) -> None:
    picture = tmp_path / f"{scheme}.png"
    subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1600",
                    f"--user-data-dir={tmp_path / 'profile'}", f"--blink-settings=preferredColorScheme={number}",
                    f"--screenshot={picture}", trained.page.resolve().as_uri()], capture_output=True, timeout=120, check=True)
    seen = decode_png(picture.read_bytes())[..., :3].astype(int)
    assert seen.shape[:2] == (1600, 1200) and (seen[5, 5].mean() > 200) == bright
    colorful = np.ptp(seen, axis=2) > 60
    assert colorful[200:700].sum() > 500, "curves"
    assert colorful[700:].mean() > 0.02, "pictures of the views"
