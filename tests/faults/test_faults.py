"""A few faults of each kind in a row; `make test-faults` strikes a hundred by chance."""

from __future__ import annotations

import sys

import pytest

from tests.faults import faults
from tests.faults.run import strike

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="clock and disk are spoiled in Linux's ways")

STRUCK = (faults.kill_worker, faults.tear_checkpoint, faults.spoil_checkpoint, faults.server_dies_beside_an_unreadable_heartbeat,
          faults.cut_network, faults.kill_client, faults.fill_disk, faults.edit_job_by_hand, faults.freeze_worker, faults.jump_clock,
          faults.tear_events, faults.reboot, *faults.HOSTILE)


def test_nothing_is_lost() -> None:
    ends, problems, told = strike(seed=5, faults=STRUCK)
    assert not problems, "\n".join([*problems, *ends.lines(), told])
    assert sum(counts.total() for counts in ends.table.values()) == len(STRUCK)
