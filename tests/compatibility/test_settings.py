"""Settings, flags and small files of version 0.1.0 are read, and those that it must read are written as it knows them."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro

from engine.cli.main import VERBS, with_current_names
from engine.core.datasets.excluded import read_excluded
from engine.core.datasets.poses_report import read_report
from engine.core.errors import UserError
from engine.core.former_names import SETTINGS
from engine.core.protocol.config import PRESETS, SHORTEST, TrainConfig, config_from_json, config_to_json
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.sfm_options import FrameOptions, PosesOptions
from engine.core.protocol.spec import FramesSpec, PosesSpec
from engine.environment.folder import EngineFolder, InstallState
from engine.evaluation.camera_paths import read_path
from tests.scenes import ring_cameras

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "version_0_1"
NAMES: dict[str, Any] = json.loads((FIXTURES / "names.json").read_text(encoding="utf-8"))
STORED: dict[str, Any] = json.loads((FIXTURES / "settings.json").read_text(encoding="utf-8"))


RECIPE = {*SHORTEST, *PRESETS["preview"].settings, "refine_every", "max_steps"} - {"strategy"}
"""What short trainings learn by may be chosen anew; what people count on in presets stays."""


def test_a_training_is_read_and_written_as_it_was() -> None:
    config = config_from_json(STORED)
    changed = [field.name for field in fields(config) if getattr(config, field.name) != field.default]
    assert changed == [SETTINGS.get(name, name) for name in STORED] and len(changed) > 40
    assert json.dumps(config_to_json(config)) == json.dumps(STORED)


def test_defaults_are_those_of_before() -> None:
    before = {name: known["default"] for name, known in NAMES["train_config"].items()}
    assert json.dumps(config_to_json(TrainConfig())) == json.dumps(before)
    kept = {name: {key: value for key, value in preset.settings.items() if key not in RECIPE} for name, preset in PRESETS.items()}
    assert kept == {name: {key: value for key, value in known.items() if key not in RECIPE} for name, known in NAMES["presets"].items()}
    assert all(PRESETS[name].settings == known for name, known in NAMES["presets"].items() if name not in ("quick-look", "preview"))


def test_current_names_are_read_too() -> None:
    assert config_from_json({SETTINGS.get(name, name): value for name, value in STORED.items()}) == config_from_json(STORED)


def test_settings_of_a_newer_version_are_one_sentence() -> None:
    with pytest.raises(UserError, match="contain sharpness, which this version does not know") as caught:
        config_from_json({**STORED, "sharpness": 1})
    assert "newer version" in caught.value.hint


def flags() -> list[tuple[str, str, str]]:
    """Verb, flag and value of all that version 0.1.0 knew."""
    return [(verb, name, "" if flag.get("nargs") == 0 else flag.get("choices", ["1"])[0])
            for verb, known in NAMES["commands"].items() for flag in known["flags"] for name in flag["names"] if name.startswith("-")]


@pytest.mark.parametrize(("verb", "flag", "value"), flags())
def test_a_flag_is_known(verb: str, flag: str, value: str) -> None:
    words = with_current_names([flag, value] if value else [flag])
    assert words[0] in PARSERS[verb] and (not value or words[1] == value)


def known_flags(verb: Any) -> set[str]:
    """Of the parser that tyro makes of a verb; its own way to ask for it is to go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(verb)
    return {name for action in parser._actions for name in action.option_strings}


PARSERS = {verb.__name__.replace("_", "-"): known_flags(verb) for verb in VERBS}


def test_every_verb_is_there() -> None:
    assert set(NAMES["commands"]) <= set(PARSERS)


@pytest.mark.parametrize(("given", "taken"), [
    ("--no-trial", "--no-smoke-test"), ("--no_pause_when_sick", "--no_pause-on-failure"), ("--growth=0.5", "--grow-rate=0.5"),
    ("--reach_limit", "--max-radius-2d"), ("--trial", "--smoke-test"), ("--no-pause-on-failure", "--no-pause-on-failure"),
    ("trial", "trial"), ("growth/--trial", "growth/--trial"), ("--trials", "--trials"), ("--", "--")])
def test_former_flags(given: str, taken: str) -> None:
    assert with_current_names(["train", given, "photos"]) == ["train", taken, "photos"]


@pytest.mark.parametrize("former", sorted(SETTINGS))
def test_a_former_flag_sets_what_it_set(former: str) -> None:
    default = NAMES["train_config"][former]["default"]
    flag = former.replace("_", "-")
    words = [f"--no-{flag}"] if default is True else [f"--{flag}", "0.25"]
    config = tyro.cli(TrainConfig, args=with_current_names(words))
    assert config_to_json(config)[former] == (False if default is True else 0.25)
    assert [name for name, value in asdict(config).items() if value != getattr(TrainConfig, name)] == [SETTINGS[former]]


def job(name: str, tmp_path: Path) -> JobFolder:
    folder = tmp_path / name
    folder.mkdir()
    text = (FIXTURES / "settings" / name / "job.json").read_text(encoding="utf-8")
    (folder / "job.json").write_text(text.replace("@ROOT@", "/root").replace("@DATASET@", "/root/dataset"), encoding="utf-8")
    return JobFolder(folder)


def test_jobs_of_photos_are_read_and_written_as_they_were(tmp_path: Path) -> None:
    frames, poses = job("frames.job", tmp_path), job("poses.job", tmp_path)
    assert frames.read_any() == FramesSpec(Path("/root/video.mp4"), FrameOptions(151, 1.0, 1, True), "video")
    assert poses.read_any() == PosesSpec(
        Path("/root/dataset/images"), PosesOptions(1601, 1281, 4097, "thorough", "similar", "global", 2), "photos")
    for found in (frames, poses):
        before = (found.path / "job.json").read_text(encoding="utf-8")
        found.write_spec(found.read_any())
        assert json.loads((found.path / "job.json").read_text(encoding="utf-8")) == json.loads(before)


def test_what_lies_beside_datasets() -> None:
    folder = FIXTURES / "settings"
    assert read_excluded(folder) == {"images/view_002.png", "images/view_005.png"}
    report = read_report(folder)
    assert report.placed == ("a.jpg", "b.jpg") and report.unplaced[0].partner == "a.jpg" and report.gap is not None
    assert report.gap.degrees == 90 and report.lenses[1].exif is None and report.seconds == 12.5
    path = read_path(folder / "camera_path.json")
    expected = ring_cameras(4, 48)
    assert len(path) == 4
    for (_, found), camera in zip(path, expected, strict=True):
        np.testing.assert_allclose(found.camera_to_world, camera.camera_to_world, atol=1e-6)
        assert (found.width, found.height) == (camera.width, camera.height)


@pytest.mark.parametrize(("name", "state"), [
    ("incomplete", InstallState.INCOMPLETE), ("ready", InstallState.OUTDATED), ("broken", InstallState.BROKEN)])
def test_an_installed_full_engine(name: str, state: InstallState, tmp_path: Path) -> None:
    """Of the version before: what works goes on working, and an upgrade is offered."""
    folder = EngineFolder(shutil.copytree(FIXTURES / "full_engine" / name, tmp_path / name))
    assert folder.state() is state
    assert (folder.current() is not None) is (name != "incomplete")
