"""Files that lie: numbers of 400 digits, deep brackets, zero bytes, names of 5,000 letters, bombs. Every reader says a sentence or reads.

The seed is printed; SPLATWRIGHT_SEED=7 chooses others, SPLATWRIGHT_FUZZ=20 takes so many times as many.
"""

from __future__ import annotations

import json
import os
import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from engine.batch.tasks import RECORD, read_record
from engine.core.cameras.camera_path import read_model_frame
from engine.core.datasets.poses_report import read_report
from engine.core.datasets.read import read_dataset
from engine.core.datasets.recentring import offset_of_job
from engine.core.errors import UserError
from engine.core.formats.registry import FORMATS, read_splats, write_splats
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.event_lines import newest_lines
from engine.core.protocol.events import Evaluated, Finding, Progress, Started, event_to_json, events_from_lines
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.job_progress import told
from engine.core.protocol.spec import JobSpec
from engine.core.splats.transform import transform_gaussians
from engine.jobs.local_engine import LocalEngine
from engine.preflight import check
from engine.remote.local_copy import read_remote_state
from engine.report.record import read_record as read_training
from engine.training.data.maps import read_depth, read_normals
from tests.core.datasets.test_sources import images, whole_file
from tests.faults.hostile_values import DEEP, changed
from tests.scenes import colored_ball, write_ball_dataset
from tests.seeds import seeded

T = TypeVar("T")

TIMES = 150 * int(os.environ.get("SPLATWRIGHT_FUZZ", "1"))


def survives(read: Callable[[], T], what: str) -> T | None:
    """What is read, or None for a UserError with a sentence; nothing else is raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read()
    except UserError as error:
        assert error.message and str(error).encode("utf-8", "surrogateescape")
        return None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}; of {what[:3000]}") from error


def ball(folder: Path) -> Path:
    write_ball_dataset(folder, views=6, size=16)
    return folder / "transforms.json"


def opensfm(folder: Path) -> Path:
    images(folder)
    (folder / "reconstruction.json").write_text(whole_file("OpenSfM"))
    return folder / "reconstruction.json"


def cameras(folder: Path) -> Path:
    images(folder)
    (folder / "cameras.json").write_text(whole_file("cameras.json"))
    return folder / "cameras.json"


@pytest.mark.parametrize("make", [ball, opensfm, cameras])
def test_cameras(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    chance, file = seeded(61), make(tmp_path / "data")
    values, usable = json.loads(file.read_text()), 0
    for number in range(TIMES):
        file.write_text(changed(values, chance))
        dataset = survives(lambda: read_dataset(file.parent), file.read_text())
        usable += dataset is not None
        if dataset is not None and number % 8 == 0:
            survives(lambda dataset=dataset: check(dataset), file.read_text())
    assert usable > TIMES // 10, "hostile files are refused, or cost one entry"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    ball(tmp_path / "data")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / ("n" * 5000), tmp_path / "loop", tmp_path / "loop" / "below", tmp_path / "data" / "transforms.json" / "below"):
        assert survives(lambda path=path: read_dataset(path), str(path)[:200]) is None


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="this user may read everything")
def test_forbidden_folders(tmp_path: Path) -> None:
    folder = ball(tmp_path / "data").parent
    for place in (folder, folder / "images"):
        place.chmod(0)
        try:
            assert survives(lambda: read_dataset(folder), str(place)) is None
        finally:
            place.chmod(0o700)


def job_of(folder: Path) -> JobFolder:
    job = JobFolder(folder)
    job.write_spec(JobSpec(folder / "data", TrainConfig()))
    return job


JSON_FILES: dict[str, tuple[object, Callable[[Path], object]]] = {
    "job.json": (None, lambda folder: JobFolder(folder).read_any()),
    "offset.json": ({"offset": [1.0, 2.0, 3.0]}, lambda folder: offset_of_job(JobFolder(folder))),
    "heartbeat": ({"pid": 5, "host": "a"},
                  lambda folder: (LocalEngine(folder.parent).state(folder.name), JobFolder(folder).is_local())),
    "remote.json": ({"job": "a", "state": "running", "cursor": 5, "sent": "", "told": "run"},
                    lambda folder: read_remote_state(JobFolder(folder))),
    RECORD: ({"asked": "a", "capture": "b"}, read_record),
    "dataparser_transforms.json": ({"transform": [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]], "scale": 0.5},
                                   lambda folder: read_model_frame(folder / "dataparser_transforms.json")),
    "report.json": ({"held_out": ["a"], "psnr": 30.0, "views": [{"name": "a", "psnr": 1.0, "ssim": 0.5}]},
                    lambda folder: read_training(JobFolder(folder))),
    "poses.json": ({"photos": 1, "placed": ["a"], "unplaced": [{"name": "b", "reason": "c"}], "lenses": [], "gap": None,
                    "centre": [0, 0, 0], "advice": []}, read_report),
}


@pytest.mark.parametrize("name", JSON_FILES)
def test_small_files(tmp_path: Path, name: str) -> None:
    chance, job = seeded(62), job_of(tmp_path / "job")
    values, read = JSON_FILES[name]
    values = values or json.loads((job.path / "job.json").read_text())
    for _ in range(TIMES):
        (job.path / name).write_text(changed(values, chance))
        survives(lambda: read(job.path), (job.path / name).read_text())


def test_events(tmp_path: Path) -> None:
    chance, job = seeded(63), job_of(tmp_path / "job")
    known = [Started("cpu", 0, 9, 3, 1, 5, "training.checkpoints", (("every", 10.0),)), Progress(1, 9, 0.1, 5, 1.0, 1.0),
             Finding("warning", "a", "b", "kind", 1.0, ("a.png",), (), (), "a.code", (("x", 1.5),)), Evaluated(1, 20.0, 0.5, 2)]
    lines = [line for event in known for line in event_to_json(event).splitlines()]
    for _ in range(TIMES):
        spoiled = [changed(json.loads(line), chance) for line in lines]
        survives(lambda spoiled=spoiled: told(events_from_lines(spoiled)), str(spoiled))
        survives(lambda spoiled=spoiled: newest_lines(spoiled), str(spoiled))
    for deep in DEEP:
        job.append_lines([deep])
    job.append_event(*known)
    assert job.read_events()[0] == known


def npy(shape: str, kind: str = "<f4", data: bytes = b"", order: str = "False") -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


BOMBS = [npy("(400000, 400000)"), npy("(4, 4)", "|O", b"cos\nsystem\n(S'true'\ntR."), npy("(-1, 4)"), npy("(4, 4)", "<U5000000"),
         npy("(" * 3000),
         npy("(10**20, 1)"), npy("()"), npy("(0, 0)"), npy("(4, 4)", "<f4", bytes(64))[:40], b"\x93NUMPY", b"", b"\x80\4.",
         npy("(2, 2)", "<c8", bytes(32)),
         npy(f"({'9' * 400}, 4)"), npy("(4, 4)", "M8[s]", bytes(128)), npy("(1.5, 2)"), npy("(True, 4)", data=bytes(16))]


@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_bombs_of_numpy(tmp_path: Path, number: int) -> None:
    path = tmp_path / "poses_bounds.npy"
    path.write_bytes(BOMBS[number])
    images(tmp_path)
    for read in (read_depth, read_normals):
        survives(lambda read=read: read(path), str(BOMBS[number][:200]))
    assert survives(lambda: read_dataset(tmp_path), str(BOMBS[number][:200])) is None


def test_splat_files(tmp_path: Path) -> None:
    """Bytes and values of every format; what is read can be turned and written again."""
    chance = seeded(64)
    for kind in FORMATS:
        path = tmp_path / f"a{kind.suffix}"
        write_splats(path, colored_ball(60, sh_degree=1), chosen=kind)
        whole = path.read_bytes()
        for _ in range(TIMES // 2):
            path.write_bytes(spoiled(whole, chance))
            found = survives(lambda path=path: read_splats(path), f"{path.name}: {path.read_bytes()[:300]!r}")
            if found is not None:
                survives(lambda found=found: transform_gaussians(found.gaussians, np.diag([2.0, 2.0, 2.0, 1.0])), path.name)
                survives(lambda found=found: write_splats(tmp_path / "again.ply", found.gaussians), path.name)


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """Bytes are others, a number is huge or none, or the end is missing."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 3, 30])):
        at = chance.randrange(len(changed))
        huge, none = struct.pack("<f", 1e35), struct.pack("<f", float("nan"))
        changed[at:at + 4] = chance.choice([chance.randbytes(4), huge, none, b"\xff" * 4, b"9999"])
    return bytes(changed[: len(data)]) if chance.random() < 0.8 else bytes(changed[: chance.randrange(len(data))])


def test_means_beyond_what_can_be_drawn_are_left_out(tmp_path: Path) -> None:
    whole = colored_ball(50)
    whole.means[7] = 1e31
    write_splats(tmp_path / "a.ply", whole)
    found = survives(lambda: read_splats(tmp_path / "a.ply"), "a.ply")
    assert found is not None and len(found.gaussians) == 49
