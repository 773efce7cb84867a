"""An estimate that a remote engine makes: a thread sends what it lacks of the dataset and listens to what it finds."""

from __future__ import annotations

import threading

from ..core.errors import UserError
from ..core.protocol.events import Event, events_from_lines, failed
from ..core.protocol.spec import JobSpec
from ..jobs.estimation import Estimation, concluded
from .follower import messages
from .http import Address, Connection
from .upload import offer, pack, stage_of


class RemoteEstimation(Estimation):
    """Ends when the last event is there, the engine refuses, or it is stopped, which hangs up and so ends it there too."""

    def __init__(self, address: Address, spec: JobSpec):
        self._address, self._spec = address, spec
        self._events: list[Event] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote estimate", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive() and not self._stopped.is_set()

    def events(self) -> list[Event]:
        return list(self._events)

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        try:
            manifest = pack(self._spec, 0, self._tell)
            offer(self._address, manifest, self._listen, "POST", "/v1/estimate", self._tell, self._stopped.is_set)
            if not concluded(self._events) and not self._stopped.is_set():
                raise UserError("The connection to the engine was cut.", "Try again.", "remote.cut")
        except UserError as error:
            self._events.append(failed(error))
        except Exception as error:  # whatever a broken engine may answer, the estimate ends with a sentence
            self._events.append(failed(UserError(f"What the engine answers cannot be understood: {type(error).__name__}.",
                                                 "Check the address and its port.", "remote.strange", kind=type(error).__name__)))

    def _listen(self, line: Connection, method: str, path: str, body: bytes) -> None:
        with line.open(method, path, body) as response:
            for kind, _, lines in messages(response):
                if kind == "events":
                    self._events += events_from_lines(lines)
                if self._stopped.is_set():
                    return

    def _tell(self, stage: str, done: int, total: int) -> None:
        self._events.append(stage_of(stage, done, total))
