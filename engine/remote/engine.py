"""RemoteEngine: jobs on another computer, seen through copies of their folders on this one.

Nothing here but `reach` waits for the network: a thread for each job keeps its copy up to date, and reads and writes touch the copy alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.protocol.folder import Control
from ..core.protocol.spec import JobSpec, Spec, source_of, with_source
from ..jobs.estimation import Estimation
from ..jobs.local_engine import Engine, JobState, new_job_folder
from ..jobs.start_file import with_own_start
from .estimation import RemoteEstimation
from .follower import PATIENCE, Follower
from .http import Address, Connection, Unreachable
from .local_copy import DELETE, ask_control, asked_control, fingerprint, new_remote_state, read_remote_state, write_remote_state

REACH_SECONDS = 3.0


@dataclass
class RemoteEngine(Engine):
    """Jobs at `address`; their copies lie below `root`. A reopened program finds them there and goes on following, or sending."""

    root: Path
    address: Address
    priority: int = 0
    _followers: dict[str, Follower] = field(default_factory=dict)

    def submit(self, spec: Spec) -> str:
        """Begin to send a job and what it reads; its events tell how far that is."""
        self.address.check()
        folder = new_job_folder(self.root, spec.name)
        folder.write_spec(with_own_start(folder, with_source(spec, source_of(spec).absolute())))
        self.resume(folder.name)
        return folder.name

    def resume(self, job: str) -> None:
        self.address.check()
        folder = self.folder(job)
        spec = folder.read_any()
        follower = self._followers.get(job)
        ask_control(folder, "run")
        if follower and follower.thread.is_alive() and follower.state.alive:
            return
        if follower:
            follower.close()  # from now on what it knows is on the disk, and stays as it is there
        remote_state = read_remote_state(folder) or new_remote_state(folder)
        sent = remote_state.sent if remote_state.sent == fingerprint(spec) else ""
        write_remote_state(folder, replace(remote_state, state=JobState.STARTING, sent=sent, told=""))
        self._follow(job)

    def reach(self) -> None:
        """As of every engine; tries for some seconds, for a connection may be cut and an engine be starting."""
        end = time.monotonic() + REACH_SECONDS
        line = Connection(self.address)
        while True:
            try:
                line.ask("GET", "/v1/engine")
                line.close()
                return
            except Unreachable:
                if time.monotonic() > end:
                    raise
                time.sleep(PATIENCE[0])

    def state(self, job: str) -> JobState:
        follower = self._followers.get(job)
        remote_state = follower.remote_state if follower else read_remote_state(self.folder(job))
        if remote_state is None:
            return JobState.INTERRUPTED
        if follower and follower.thread.is_alive():
            return remote_state.state
        to_delete = remote_state.sent and asked_control(self.folder(job)) == DELETE
        return self._follow(job).state if to_delete or (remote_state.state.alive and not follower) else remote_state.state

    def control(self, job: str, control: Control) -> None:
        ask_control(self.folder(job), control)
        self.state(job)  # whoever asks wants it passed on

    def silence(self, job: str) -> float:
        follower = self._followers.get(job)
        return follower.status.silence if follower and follower.state.alive else 0.0

    def kill(self, job: str) -> None:
        ask_control(self.folder(job), "kill")
        self.state(job)

    def delete(self, job: str) -> None:
        ask_control(self.folder(job), DELETE)
        self.state(job)

    def kept_there(self, job: str) -> bool:
        remote_state = self._followers[job].remote_state if job in self._followers else read_remote_state(self.folder(job))
        return remote_state is not None and remote_state.sent != ""

    def estimate(self, spec: JobSpec) -> Estimation:
        self.address.check()
        return RemoteEstimation(self.address, spec)

    def note(self, job: str) -> str:
        follower = self._followers.get(job)
        return follower.note if follower else ""

    def alarm(self, job: str) -> str | None:
        follower = self._followers.get(job)
        return (follower.alarm or follower.status.alarm or follower.alarm) if follower else None

    def close(self) -> None:
        """Follow no job any more; they go on."""
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()

    def _follow(self, job: str) -> Follower:
        old = self._followers.get(job)
        if old:
            old.close()
        self._followers[job] = Follower(self.folder(job), self.address, self.priority).start()
        return self._followers[job]
