"""Remote check and estimate of as many files as real datasets have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.core.images.png import write_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Estimated, Failed
from engine.core.protocol.spec import JobSpec
from engine.remote.engine import RemoteEngine
from engine.remote.upload import check_remotely, pack
from tests.server.serving import Server

FILES = 2000
SIDE = 24


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serve"), "--gpus", "cpu")
    yield made
    made.close()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of noise from a ring of cameras, each under a long name."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "images").mkdir()
    random, frames = np.random.default_rng(0), []
    for index in range(FILES):
        name = f"images/an image whose name is as long as those of cameras can be {index:05d}.png"
        write_png(folder / name, random.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8))
        angle = 2 * np.pi * index / FILES
        c, s = np.cos(angle), np.sin(angle)
        frames.append({"file_path": name, "transform_matrix": [[-s, 0, c, 4 * c], [c, 0, s, 4 * s], [0, 1, 0, 0], [0, 0, 0, 1]]})
    (folder / "transforms.json").write_text(json.dumps({"fl_x": SIDE, "fl_y": SIDE, "w": SIDE, "h": SIDE, "frames": frames}))
    return folder


def spec_of(dataset: Path) -> JobSpec:
    return JobSpec(dataset, TrainConfig(max_steps=40, max_gaussians=300, resolution=SIDE, threads=1))


def test_a_remote_check_of_two_thousand_images(server: Server, dataset: Path) -> None:
    findings = check_remotely(server.address(), pack(spec_of(dataset), 0, lambda *_: None))
    assert findings


def test_a_remote_estimate_of_two_thousand_images(server: Server, dataset: Path, tmp_path: Path) -> None:
    events = RemoteEngine(tmp_path, server.address()).estimate(spec_of(dataset)).wait()
    assert isinstance(events[-1], Estimated) and not [event for event in events if isinstance(event, Failed)], events[-3:]
