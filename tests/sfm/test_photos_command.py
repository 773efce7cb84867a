"""Photos on the command line: from JPEGs to splats in one command, and one sentence for what is wrong."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from engine.cli import photos as command
from engine.cli.photos import is_of, posed
from engine.core.datasets.file_types import is_plain_photos
from engine.core.formats.ply import read_ply
from tests.end_to_end.test_command_line import QUICK, assert_sentence, last_json, splatwright
from tests.scenes import write_ball_dataset
from tests.sfm.photo_scene import save, shots, take_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train on – 写真")
    take_photos(folder)
    return folder


def test_photos_become_splats_in_one_command(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scene.ply"
    done = splatwright("train", photos, "-o", output, *QUICK, "--max-steps", 60)
    figures = last_json(done)
    assert "8 of 8 photos are registered" in done.stdout and figures["steps"] == 60 and figures["psnr"] > 12
    assert len(read_ply(output).gaussians) == figures["gaussians"] > 100
    report = output.with_suffix(".dataset") / "poses.json"
    before = report.stat().st_mtime_ns
    again = splatwright("train", photos, "-o", output, *QUICK, "--max-steps", 80)
    assert last_json(again)["steps"] == 80 and report.stat().st_mtime_ns == before
    assert is_of(report.parent, photos)
    first = sorted(photos.glob("*.jpg"))[0]
    written = first.stat()
    os.utime(first)
    assert not is_of(report.parent, photos), "a photo was written again"
    os.utime(first, ns=(written.st_atime_ns, written.st_mtime_ns))
    assert is_of(report.parent, photos)
    save(photos / "photo_009.jpg", shots()[4], quality=90)
    os.utime(photos / "photo_009.jpg", ns=(written.st_atime_ns, written.st_mtime_ns))
    assert not is_of(report.parent, photos), "another photo"


def test_a_dataset_is_no_folder_of_plain_photos(tmp_path: Path, photos: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "ball", views=3).folder
    assert is_plain_photos(photos) and not is_plain_photos(dataset) and not is_plain_photos(tmp_path)
    (dataset / "transforms.json").unlink()
    assert is_plain_photos(dataset)
    (dataset / "sparse").mkdir()
    assert not is_plain_photos(dataset) and not is_plain_photos(dataset / "nowhere")


def test_photos_in_a_zip_are_unpacked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SPLATWRIGHT_CACHE", str(tmp_path / "cache"))
    archive, searched = tmp_path / "photos.zip", []
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("walk/a.jpg", save(tmp_path / "a.jpg", shots()[0]).read_bytes())
    monkeypatch.setattr(command, "_found", lambda source, *_: searched.append(source))
    assert posed(archive, tmp_path / "dataset", 64) == tmp_path / "dataset"
    assert len(searched) == 1 and searched[0].is_relative_to(tmp_path / "cache") and (searched[0] / "a.jpg").is_file()
    assert f"{archive} was unpacked into" in capsys.readouterr().out


def test_photos_with_cameras_of_another_program_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_found", lambda *_: pytest.fail("the cameras are known"))
    save(tmp_path / "a.png", shots()[0])
    (tmp_path / "cameras.csv").write_text("#name,x,y,alt,heading,pitch,roll,f\na.png,1,2,3,4,5,6,30\n")
    assert posed(tmp_path, tmp_path / "dataset", 64) == tmp_path


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    assert_sentence(splatwright("poses", tmp_path / "nowhere", tmp_path / "out"), "does not exist")
    assert_sentence(splatwright("poses", tmp_path, tmp_path / "out"), "holds no photos")
    assert_sentence(splatwright("poses", tmp_path, tmp_path / "out", "--feature-size", 3), "feature_size is 3")
    save(tmp_path / "a.jpg", shots()[0])
    assert_sentence(splatwright("train", tmp_path, "-o", tmp_path / "x.ply"), "a.jpg", "at least 3")
