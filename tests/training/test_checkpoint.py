"""Checkpoints: whatever is wrong with the newest one, the one before it is taken; and they are written beside the training."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import UserError
from engine.training.checkpoint import NEWEST, PREVIOUS, Checkpoint, load_checkpoint, save_checkpoint
from engine.training.checkpoint_writer import SURE_GAUSSIANS, CheckpointWriter, interval
from engine.training.cpu.model import CpuModel
from tests.scenes import colored_ball
from tests.seeds import seeded
from tests.training.mutations import MUTATIONS

TIMES = 2000


@pytest.fixture
def state() -> dict[str, np.ndarray]:
    model = CpuModel(colored_ball(300, sh_degree=1), 1)
    try:
        return model.state()
    finally:
        model.close()


@pytest.fixture
def folder(tmp_path: Path, state: dict[str, np.ndarray]) -> Path:
    for step in (10, 20):
        save_checkpoint(tmp_path / "checkpoint", Checkpoint(step, 1.0, state))
    return tmp_path / "checkpoint"


def test_whatever_is_wrong_with_the_newest_the_previous_is_taken(folder: Path, state: dict[str, np.ndarray]) -> None:
    chance, whole = seeded(18), (folder / NEWEST).read_bytes()
    fell_back = 0
    for number in range(TIMES):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        (folder / NEWEST).write_bytes(mutation(whole, chance))
        found = load_checkpoint(folder)
        assert found is not None, f"{mutation.__name__}, number {number}"
        if found.step == 20:  # what was changed is read by nobody, as a date of the archive
            assert all(np.array_equal(found.arrays[name], array) for name, array in state.items()), f"{mutation.__name__}, number {number}"
        else:
            assert found.step == 10 and not (folder / NEWEST).exists()
            fell_back += 1
    assert fell_back > 0.8 * TIMES


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_or_a_dead_link_in_its_place_is_passed_over(folder: Path, state: dict[str, np.ndarray]) -> None:
    (folder / NEWEST).unlink()
    (folder / NEWEST).mkdir()
    found = load_checkpoint(folder)
    assert found is not None and found.step == 10
    (folder / NEWEST).symlink_to(folder / NEWEST)
    found = load_checkpoint(folder)
    assert found is not None and found.step == 10
    (folder / PREVIOUS).rename(folder / NEWEST)
    (folder / PREVIOUS).mkdir()
    save_checkpoint(folder, Checkpoint(30, 1.0, state))
    (folder / NEWEST).write_bytes(b"")
    found = load_checkpoint(folder)
    assert found is not None and found.step == 10


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="this user may read everything")
def test_one_that_may_not_be_read_is_passed_over(folder: Path) -> None:
    (folder / NEWEST).chmod(0)
    found = load_checkpoint(folder)
    assert found is not None and found.step == 10


def test_two_damaged_ones_are_a_sentence(folder: Path) -> None:
    for name in (NEWEST, PREVIOUS):
        (folder / name).write_bytes(b"PK")
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(folder)
    assert (folder / NEWEST).exists() and (folder / PREVIOUS).exists()


def test_a_job_folder_that_is_gone_does_not_come_back(tmp_path: Path, state: dict[str, np.ndarray]) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        save_checkpoint(tmp_path / "job" / "checkpoint", Checkpoint(1, 1.0, state))
    assert not (tmp_path / "job").exists()


def test_a_checkpoint_is_written_beside_the_training(tmp_path: Path, state: dict[str, np.ndarray]) -> None:
    assert not CheckpointWriter(tmp_path / "checkpoint", 3600, 300).due(300)
    writer = CheckpointWriter(tmp_path / "checkpoint", 0.2, 300)
    time.sleep(0.2)
    assert writer.due(300)
    writer.begin(lambda: Checkpoint(7, 1.0, state))
    writer.wait()
    assert writer.saved_step == 7 and writer.problem() is None
    found = load_checkpoint(tmp_path / "checkpoint")
    assert found is not None and found.step == 7


@pytest.fixture
def model() -> Iterator[CpuModel]:
    """As after some steps, of more Gaussians than are copied at a time."""
    made, chance = CpuModel(colored_ball(17_000, sh_degree=1), 1), np.random.default_rng(0)
    for blocks in made._arrays.values():
        blocks.values[:] = chance.random(blocks.values.shape, np.float32)
    yield made
    made.close()


def test_whatever_a_state_is_made_of_the_file_is_the_same(tmp_path: Path, model: CpuModel) -> None:
    for name, state in (("live", model.snapshot(copy=False)), ("copied", model.snapshot(copy=True)), ("arrays", model.state())):
        save_checkpoint(tmp_path / name, Checkpoint(7, 1.0, state))
        found = load_checkpoint(tmp_path / name)
        assert found is not None and found.arrays.keys() == model.state().keys()
        assert all(np.array_equal(found.arrays[name], array) for name, array in model.state().items())
    assert len({(tmp_path / name / NEWEST).stat().st_size for name in ("live", "copied", "arrays")}) == 1


def test_numpy_reads_them(tmp_path: Path, model: CpuModel) -> None:
    save_checkpoint(tmp_path / "checkpoint", Checkpoint(7, 1.0, model.snapshot(copy=False)))
    with np.load(tmp_path / "checkpoint" / NEWEST) as archive:
        assert all(np.array_equal(archive[name], array) for name, array in model.state().items())


@pytest.mark.parametrize("copy", [True, False])
def test_what_changes_afterwards_is_not_saved(tmp_path: Path, model: CpuModel, copy: bool) -> None:
    """The thread writes it, or flushes it to the disk alone, while the training goes on."""
    before, writer = model.state(), CheckpointWriter(tmp_path / "checkpoint", 0.1, SURE_GAUSSIANS + 1, live=True)
    writer.begin(lambda: Checkpoint(7, 1.0, model.snapshot(copy), live=not copy))
    for blocks in model._arrays.values():
        blocks.values[:] = 0
    writer.wait()
    found = load_checkpoint(tmp_path / "checkpoint")
    assert found is not None and all(np.array_equal(found.arrays[name], array) for name, array in before.items())
    assert 0 < writer.paused <= writer.took


def test_names_what_is_no_number(model: CpuModel) -> None:
    assert model.broken() == []
    model.write("sh0", np.array([16_999]), np.full((1, 1, 3), np.nan, np.float32))
    model._second.write(np.array([5]), np.full((1, 3), np.inf, np.float32), "means")
    assert model.broken() == ["sh0", "second_means"]


def test_why_it_was_not_written_is_told_once(tmp_path: Path, state: dict[str, np.ndarray]) -> None:
    (tmp_path / "checkpoint").write_text("no folder")
    writer = CheckpointWriter(tmp_path / "checkpoint", 0.1, 300)
    writer.begin(lambda: Checkpoint(7, 1.0, state))
    writer.wait()
    assert isinstance(writer.problem(), UserError) and writer.problem() is None and writer.saved_step == -1
    with pytest.raises(UserError):
        writer.save(Checkpoint(8, 1.0, state))


def test_what_else_goes_wrong_ends_the_training(
        tmp_path: Path, state: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's error would be lost, and every checkpoint after it."""
    def fail(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("engine.training.checkpoint_writer.save_checkpoint", fail)
    writer = CheckpointWriter(tmp_path / "checkpoint", 0.1, 300)
    writer.begin(lambda: Checkpoint(7, 1.0, state))
    writer.wait()
    with pytest.raises(MemoryError):
        writer.problem()
    with pytest.raises(MemoryError):
        writer.save(Checkpoint(8, 1.0, state))


@pytest.mark.parametrize(("took", "gaussians", "expected"), [
    (0.0, 10, 10.0), (2.0, SURE_GAUSSIANS, 10.0), (4.0, SURE_GAUSSIANS, 10.0), (2.0, SURE_GAUSSIANS + 1, 25.0), (0.5, 10**6, 10.0)])
def test_what_a_cut_costs(took: float, gaussians: int, expected: float) -> None:
    assert interval(10.0, took, gaussians) == pytest.approx(expected)


@pytest.mark.parametrize(("paused", "gaussians", "expected"), [
    (1.0, SURE_GAUSSIANS, 10.0), (0.1, SURE_GAUSSIANS + 1, 10.0), (1.0, SURE_GAUSSIANS + 1, 62.5)])
def test_large_ones_stop_the_training_for_two_hundredths_of_it(paused: float, gaussians: int, expected: float) -> None:
    assert interval(10.0, 0.0, gaussians, paused) == pytest.approx(expected)


def test_a_pause_comes_no_earlier(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path, 0.01, 10)
    writer.took, writer._slow, writer.paused = 0.0, 0.0, 0.01
    time.sleep(0.1)
    assert writer.due(SURE_GAUSSIANS) and not writer.due(SURE_GAUSSIANS + 1)
    time.sleep(0.45)
    assert writer.due(SURE_GAUSSIANS + 1)


def test_a_slow_write_begins_early_enough(tmp_path: Path) -> None:
    """The last state but one holds until the newest lies on the disk."""
    writer = CheckpointWriter(tmp_path, 1.0, 10)
    writer.took = 0.5
    assert writer.interval(10) == 1.25
    time.sleep(0.55)
    assert writer.due(10)


def test_a_write_that_was_slow_once_is_expected_again(
        tmp_path: Path, state: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an interval of 1 s, 0.1 s stay in hand, and half as long again as 0.8 of the slow write: 0.36 s."""
    writer = CheckpointWriter(tmp_path / "checkpoint", 1.0, 10)
    monkeypatch.setattr("engine.training.checkpoint_writer.save_checkpoint", lambda *_: time.sleep(0.3))
    writer.save(Checkpoint(1, 1.0, state))
    monkeypatch.setattr("engine.training.checkpoint_writer.save_checkpoint", lambda *_: None)
    for _ in range(60):  # steps, so that the longest of them does not count
        writer.due(10)
    writer.save(Checkpoint(2, 1.0, state))
    begin = time.monotonic()
    while not writer.due(10):
        time.sleep(0.01)
    assert writer.took < 0.1 and 0.3 < time.monotonic() - begin < 0.75
