"""What is taken from large coordinates: a round vector, for those alone that need it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.cli.convert import convert
from engine.core.errors import UserError
from engine.core.formats.ply_columns import to_columns, with_doubles
from engine.core.formats.ply_container import write_parts
from engine.core.formats.registry import read_splats, stated_offset, write_splats
from engine.core.splats.offset import NO_OFFSET, offset_file, offset_from_words, offset_of, offset_words, turned_offset
from tests.scenes import colored_ball

UTM = np.array([512345.67, 5412345.89, 321.5])


def around(middle: np.ndarray, spread: float, count: int = 40) -> np.ndarray:
    return middle + spread * np.random.default_rng(0).normal(size=(count, 3))


@pytest.mark.parametrize("middle", [0.0, 1.0, -40.0])
@pytest.mark.parametrize("spread", [1e-6, 1.0, 1e6])
def test_ordinary_places_have_none(middle: float, spread: float) -> None:
    assert offset_of(around(np.full(3, middle * spread), spread)) is NO_OFFSET
    assert offset_of(np.zeros((0, 3))) is NO_OFFSET and offset_of(np.full((5, 3), np.nan)) is NO_OFFSET


def test_it_is_round_and_near_the_middle() -> None:
    assert offset_of(around(UTM, 20.0)) == (512300, 5412300, 300)
    assert offset_of(around(UTM, 2.0)) == (512350, 5412350, 320)
    assert offset_of(-around(UTM, 20.0)) == (-512300, -5412300, -300)
    assert offset_of(around(np.array([1e3, 0, 0]), 1e-4)) == pytest.approx((1e3, 0, 0), abs=1e-3)


def test_a_few_strays_do_not_change_it() -> None:
    places = around(UTM, 20.0)
    with_strays = np.concatenate([places, [[0, 0, 0], UTM - np.array([0, 0, 30000]), [np.nan, 0, 0], [np.inf, 0, 0]]])
    assert offset_of(with_strays) == offset_of(places)


def test_words_hold_it_exactly() -> None:
    for offset in ((512300.0, -5412300.0, 0.0), (0.1, 1e-9, 123456789.125), (1e20, -1e20, 0.0)):
        assert offset_from_words(offset_words(offset)) == offset
    assert offset_words((512300.0, 0.0, -0.5)) == "512300 0 -0.5"
    assert offset_from_words("1 2") is None and offset_from_words("a b c") is None and offset_from_words("nan 0 0") is None
    assert turned_offset(turned_offset((1.0, 2.0, 3.0), "OPENGL", True), "OPENGL", False) == (1, 2, 3)


@pytest.mark.parametrize("name", ["a.ply", "a.compressed.ply", "a.spz", "a.splat"])
def test_every_format_remembers_it(tmp_path: Path, name: str) -> None:
    offset = (512300.0, 300.0, -5412300.0)
    write_splats(tmp_path / name, colored_ball(), offset=offset)
    found = read_splats(tmp_path / name)
    assert found.offset == offset == stated_offset(tmp_path / name)
    assert np.abs(found.gaussians.means).max() < 1.2
    assert offset_file(tmp_path / name).read_text() == "512300 5412300 300\n"  # in SuperSplat's axes, as COLMAP's
    write_splats(tmp_path / name, colored_ball())
    assert not offset_file(tmp_path / name).exists() and stated_offset(tmp_path / name) is None
    assert read_splats(tmp_path / name).offset == NO_OFFSET


def test_a_header_says_it_without_the_file_beside(tmp_path: Path) -> None:
    for name, axes in (("a.ply", "OPENGL"), ("b.compressed.ply", "BLENDER")):
        write_splats(tmp_path / name, colored_ball(), axes, offset=(512300.0, 300.0, -5412300.0))
        offset_file(tmp_path / name).unlink()
        assert read_splats(tmp_path / name).offset == (512300, 300, -5412300)


@pytest.fixture
def survey_ply(tmp_path: Path) -> Path:
    """A PLY with places in double precision at survey coordinates."""
    path = tmp_path / "utm_double.ply"
    ball = colored_ball()
    write_parts(path, {"vertex": with_doubles(to_columns(ball), (UTM[0], UTM[1], UTM[2]))}, ())
    return path


def test_doubles_of_a_survey_lose_nothing(survey_ply: Path) -> None:
    found = read_splats(survey_ply, "BLENDER")
    whole = found.gaussians.means.astype(np.float64) + found.offset
    assert np.abs(whole - (colored_ball().means + UTM)).max() < 1e-6 and np.abs(found.gaussians.means).max() < 10
    assert found.offset == (512346, 5412346, 322) and any("offset" in note for note in found.notes)
    assert not any("single precision they moved" in note for note in found.notes)


def test_convert_keeps_or_adds_it(survey_ply: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local, added, double = (survey_ply.with_name(f"{name}.ply") for name in ("local", "added", "double"))
    convert(survey_ply, local)
    assert "kept apart" in capsys.readouterr().out and np.abs(read_splats(local).gaussians.means).max() < 10
    convert(local, added, offset="ADD")
    assert "mm" in capsys.readouterr().out
    found = read_splats(added)
    assert found.offset == NO_OFFSET and not offset_file(added).exists() and np.abs(found.gaussians.means).max() > 5e6
    convert(local, double, offset="ADD_DOUBLE")
    original, again = read_splats(survey_ply), read_splats(double)
    assert again.offset == original.offset and np.abs(again.gaussians.means - original.gaussians.means).max() < 1e-6
    with pytest.raises(UserError, match="double precision"):
        convert(local, survey_ply.with_name("a.spz"), offset="ADD_DOUBLE")
