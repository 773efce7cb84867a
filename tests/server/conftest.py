"""A server and a dataset for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenes import write_ball_dataset
from tests.server.serving import Server


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data") / "Kugel – 球").folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serve – 仕事"), "--gpus", "cpu", "--price-per-hour", "3600", "--currency", "EUR")
    yield made
    made.close()
