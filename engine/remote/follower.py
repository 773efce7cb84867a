"""The thread that keeps one remote job and its copy here alike: sends it, listens to it, passes on what is asked of it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from ..core.errors import UserError
from ..core.files import InUse
from ..core.protocol.event_lines import event_kind
from ..core.protocol.events import ENGINE_BUDGET_ENDED, Finding, Finished, Preview, events_from_lines, failed
from ..core.protocol.folder import JobFolder
from ..core.protocol.http_messages import JobStatus, checked_path, status_from_json
from ..core.protocol.spec import kind_of, output_of
from ..jobs.local_engine import JobState
from .download import fetch
from .http import Address, Connection, Rejected, Unreachable, no_engine
from .local_copy import DELETE, asked_control, fingerprint, read_remote_state, write_remote_state
from .upload import SENDING, UploadManifest, pack, send, stage_of

PATIENCE = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the next try when the engine does not answer; the last one for ever."""

TELL_SECONDS = 0.5
ALARM_SECONDS = 5.0
"""Between two questions whether the machine of an engine with a spent budget was switched off."""

GONE_SECONDS = 60.0
"""An engine that does not answer for so long is gone with its machine."""
LONGEST_LINE = 1024**2


class Follower:
    """Follows one job until it has ended and its result is here."""

    def __init__(self, folder: JobFolder, address: Address, priority: int = 0):
        remote_state = read_remote_state(folder)
        assert remote_state is not None
        self.folder, self.address, self.priority, self.remote_state = folder, address, priority, remote_state
        self.status = JobStatus(remote_state.job, remote_state.state.value)
        self.trouble = ""
        self.alarm: str | None = None
        """that the engine's machine should be switched off and is not; None while nobody asks"""
        self._parcel: UploadManifest | None = None
        self._closed = threading.Event()
        self._writing = threading.RLock()
        """held while the copy is written; once closed nothing is written, for another follower may have begun"""
        self._told_at = 0.0
        self._tries = self._sent = 0
        self._ended = self._unsaved = False
        self.thread = threading.Thread(target=self._run, name=f"remote {folder.name}", daemon=True)

    @property
    def state(self) -> JobState:
        return self.remote_state.state

    @property
    def note(self) -> str:
        """What is worth knowing beside the events."""
        return self.trouble or self.status.note

    def start(self) -> Follower:
        self.thread.start()
        return self

    def close(self) -> None:
        """Follow no longer; the job goes on. The copy is as it is from now on."""
        with self._writing:
            self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow()
                return
            except (Unreachable, InUse) as error:
                self.trouble = f"{error.message} Trying again."
                self._closed.wait(PATIENCE[min(self._tries, len(PATIENCE) - 1)])
                self._tries += 1
            except UserError as error:
                self._fail(error)
                return
            except Exception as error:  # whatever a broken engine may answer, the job ends with a sentence
                self._fail(UserError(f"The job cannot be followed: {type(error).__name__}: {error}.", "Resume it to try again.",
                                     "remote.not_followed", name=type(error).__name__, error=error))
                return

    def _follow(self) -> None:
        if self._unsaved:
            self._keep()
        line = Connection(self.address)
        try:
            if not self.remote_state.sent:
                self._send()
            while not self._closed.is_set() and self.remote_state.sent:
                self._pass_on(line)
                if self.remote_state.sent and self._listen():
                    self._bring_home(line)
                    if self.alarm is not None:
                        self._await_end(line)
                    return
        finally:
            line.close()

    def _send(self) -> None:
        spec = self.folder.read_any()
        if self._parcel is None:
            self._parcel = pack(spec, self.priority, self._tell)
        send(self.address, self.remote_state.job, self._parcel, self._tell, self._cancelled)
        if self._cancelled():
            self._note_state(JobState.INTERRUPTED)
        else:
            self._answered()
            self._keep(sent=fingerprint(spec), told="run", state=JobState.STARTING)

    def _cancelled(self) -> bool:
        return self._closed.is_set() or asked_control(self.folder) in ("stop", "kill", DELETE)

    def _pass_on(self, line: Connection) -> None:
        """Tell the engine what was asked of the job here."""
        asked = asked_control(self.folder)
        if asked == DELETE:
            self._delete(line)
        elif asked != self.remote_state.told:
            line.ask("POST", f"/v1/jobs/{self.remote_state.job}/control", json.dumps({"control": asked}).encode())
            self._keep(told=asked)

    def _delete(self, line: Connection) -> None:
        """Delete the job at the engine; downloaded files are kept."""
        try:
            line.ask("DELETE", f"/v1/jobs/{self.remote_state.job}")
        except Rejected as refusal:
            if refusal.status != 404:
                raise
        state = JobState.INTERRUPTED if self.remote_state.state.alive else self.remote_state.state
        self._keep(sent="", cursor=0, state=state)

    def _listen(self) -> bool:
        """Take in events until the stream ends; True when the job has ended."""
        line, aside = Connection(self.address), Connection(self.address)
        try:
            with line.open("GET", f"/v1/jobs/{self.remote_state.job}/events?after={self.remote_state.cursor}") as response:
                for kind, cursor, lines in messages(response):
                    self._answered()
                    if self._closed.is_set():
                        return False
                    if kind == "events":
                        self._take_in(aside, lines, cursor)
                    elif kind == "status":
                        self.status = status_from_json(json.loads(lines[0]))
                        state = JobState(self.status.state)
                        if not state.alive:
                            return True
                        if not self._ended:  # the status may be older than the last event
                            self._note_state(state)
                    if self._closed.is_set():
                        return False
                    self._pass_on(aside)
                    if not self.remote_state.sent:
                        return False
        except ValueError:
            raise no_engine(self.address) from None
        finally:
            line.close()
            aside.close()
        raise Unreachable("The connection to the engine was cut.", "It is tried again.")

    def _take_in(self, line: Connection, lines: list[str], cursor: int) -> None:
        """Files are here before the events that tell of them. Events that are not known here are written down as they came."""
        told = [text for text in lines if event_kind(text)]
        events = events_from_lines(told)
        finished = any(isinstance(event, Finished) for event in events)
        if any(isinstance(event, Finding) and event.code == ENGINE_BUDGET_ENDED for event in events):
            self.alarm = ""
        if any(isinstance(event, Preview) for event in events):
            fetch(line, self.remote_state.job, self.folder.preview.name, self.folder.preview)
        for name in self._results(line) if finished else ():
            fetch(line, self.remote_state.job, name, self.folder.path / name)
        with self._writing:
            if self._closed.is_set():
                return
            self.folder.append_lines(told)
            self._ended = bool(events) and isinstance(events[-1], Finished)
            self._keep(cursor=cursor, state=JobState.FINISHED if self._ended else self.remote_state.state)

    def _bring_home(self, line: Connection) -> None:
        """The job has ended there; now here too."""
        fetch(line, self.remote_state.job, self.folder.log.name, self.folder.log)
        self._note_state(JobState(self.status.state))

    def _await_end(self, line: Connection) -> None:
        """The engine has stopped the job because its budget is spent: see its machine go, or hear the alarm that it did not."""
        heard = time.monotonic()
        while asked_control(self.folder) != DELETE:
            try:
                answer = line.ask("GET", "/v1/engine")
                self.alarm, heard = str(answer.get("alarm", "")) if isinstance(answer, dict) else "", time.monotonic()
            except UserError:
                if time.monotonic() - heard > GONE_SECONDS:
                    break
            if self._closed.wait(ALARM_SECONDS):
                return
        self.alarm = None
        if asked_control(self.folder) == DELETE:
            self._delete(line)

    def _results(self, line: Connection) -> list[str]:
        """Names of the files that the job was for."""
        spec = self.folder.read_any()
        output = output_of(spec)
        if output is None:
            return list(kind_of(spec).results)
        listed = line.ask("GET", f"/v1/jobs/{self.remote_state.job}/files")["files"]
        return [checked_path(str(found["path"])) for found in listed if str(found["path"]).startswith(f"{output.name}/")]

    def _answered(self) -> None:
        self.trouble, self._tries = "", 0

    def _tell(self, stage: str, done: int, total: int) -> None:
        """How far the sending is; in megabytes where it counts bytes."""
        if stage == SENDING and done > self._sent:  # it answers, however often the connection is cut
            self._sent, self._tries = done, 0
        now = time.monotonic()
        if now - self._told_at < TELL_SECONDS and done < total:
            return
        self._told_at = now
        with self._writing:
            if not self._closed.is_set():
                self.folder.append_event(stage_of(stage, done, total))

    def _fail(self, error: UserError) -> None:
        """The job cannot go on: because of a refusal, or of our own disk."""
        gone = isinstance(error, Rejected) and error.status == 404 and self.remote_state.sent
        if gone:
            error = UserError("The engine does not know this job any more.", "Resume sends it again.", "remote.unknown_job")
            self._keep(sent="", cursor=0)
        with self._writing:
            if self._closed.is_set():
                return
            try:
                self.folder.append_event(failed(error))
                self._note_state(JobState.FAILED)
            except UserError as disk:
                self.trouble = str(disk)
                self.remote_state = replace(self.remote_state, state=JobState.FAILED)

    def _note_state(self, state: JobState) -> None:
        if state is not self.remote_state.state:
            self._keep(state=state)

    def _keep(self, **changes: object) -> None:
        with self._writing:
            if self._closed.is_set():
                return
            self.remote_state = replace(self.remote_state, **changes)  # type: ignore[arg-type]
            self._unsaved = True
            write_remote_state(self.folder, self.remote_state)
            self._unsaved = False


def messages(response: http.client.HTTPResponse) -> Iterator[tuple[str, int, list[str]]]:
    """Kind, cursor and lines of each server-sent event. Ends when the connection does; a message that was cut is none."""
    kind, cursor, lines = "message", 0, []
    while True:
        line = response.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            return
        name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if not name and not value:
            if lines:
                yield kind, cursor, lines
            kind, lines = "message", []
        elif name == "event":
            kind = value
        elif name == "data":
            lines.append(value)
        elif name == "id":
            cursor = int(value)
