"""Workers that behave well or badly, each a real process on a real job folder.

`fake_python(folder, "crashing")` writes a small program that LocalEngine takes for its Python; whatever job it is
given, it runs one of BEHAVIOURS below instead of training. As a script: `fake_engine.py BEHAVIOUR JOB_FOLDER`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from engine.core.formats.ply import write_ply  # noqa: E402
from engine.core.protocol.events import Evaluated, Event, Failed, Finding, Finished, Paused, Preview, Progress, Stage, Started  # noqa: E402
from engine.core.protocol.folder import JobFolder  # noqa: E402
from engine.core.splats.gaussians import Gaussians, rgb_to_sh0  # noqa: E402
from tests.fakes.programs import launcher  # noqa: E402

TURNS = 10
"""A whole training is so many turns, each with its progress and preview."""

FIRST_SPLATS, SPLATS_A_TURN = 50, 10
FINAL_SPLATS = 200
WARNING = Finding("warning", "3 of 20 images are black.", "Check lights and exposure.")


def fake_python(folder: Path, behaviour: str) -> Path:
    """An executable for LocalEngine.python whose workers behave like that."""
    if behaviour not in BEHAVIOURS:
        raise ValueError(behaviour)
    folder.mkdir(parents=True, exist_ok=True)
    return launcher(folder / f"{behaviour}-python", str(Path(__file__).resolve()), behaviour)


def ball(count: int, seed: int = 0) -> Gaussians:
    """Coloured Gaussians on a sphere of radius 1."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((count, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    return Gaussians(
        means=places.astype(np.float32),
        quats=np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        scales=np.full((count, 3), -3.0, np.float32),
        opacities=np.full(count, 2.0, np.float32),
        sh0=rgb_to_sh0(0.5 + 0.5 * places)[:, None],
        shN=np.zeros((count, 0, 3), np.float32),
    )


@dataclass
class Training:
    """The motions of a training, without learning anything. A second worker goes on where the first one ended."""

    job: JobFolder
    turn_seconds: float = 0.05
    turns: int = TURNS

    def __post_init__(self) -> None:
        self.max_steps = self.job.read_spec().config.max_steps
        self.turn = self._read_turn()

    @property
    def step(self) -> int:
        return self.max_steps * self.turn // self.turns

    @property
    def gaussians(self) -> int:
        return FIRST_SPLATS + SPLATS_A_TURN * self.turn

    def say(self, event: Event) -> None:
        self.job.heartbeat()
        self.job.append_event(event)

    def begin(self) -> None:
        self.say(WARNING)
        self.say(Started("cpu", self.step, self.max_steps, 18, 3, self.gaussians))

    def go(self, until: float = 1.0) -> bool:
        """Turn by turn to a share of the training; True when control said stop."""
        while self.turn < until * self.turns:
            self.take_turn()
            if self._pause_or_stop():
                return True
        return False

    def take_turn(self) -> None:
        self.turn += 1
        (self.job.path / "turn").write_text(str(self.turn))
        rate = self.max_steps / self.turns / self.turn_seconds
        left = (self.turns - self.turn) * self.turn_seconds
        self.say(Progress(self.step, self.max_steps, 1 / (self.turn + 4), self.gaussians, rate, left))
        write_ply(self.job.preview, ball(self.gaussians))
        self.say(Preview(self.step, self.gaussians))
        if self.turn % 3 == 0:
            self.say(Evaluated(self.step, 18.0 + self.turn, 0.8, 3))
        time.sleep(self.turn_seconds)

    def finish(self, stopped: bool) -> None:
        write_ply(self.job.result, ball(FINAL_SPLATS, seed=1))
        self.say(Finished(self.step, FINAL_SPLATS, 31.5, 0.95, 1.0, stopped))
        self.job.clear_heartbeat()

    def _read_turn(self) -> int:
        try:
            return int((self.job.path / "turn").read_text())
        except (OSError, ValueError):
            return 0

    def _pause_or_stop(self) -> bool:
        if self.job.control() == "pause":
            self.say(Paused(self.step))
            while self.job.control() == "pause":
                self.job.heartbeat()
                time.sleep(0.02)
            self.say(Started("cpu", self.step, self.max_steps, 18, 3, self.gaussians))
        return self.job.control() == "stop"


def happy(job: JobFolder) -> None:
    """Trains to its end within a second."""
    training = Training(job)
    training.begin()
    training.finish(training.go())


def slow(job: JobFolder) -> None:
    """Trains for ten minutes unless it is stopped."""
    training = Training(job, turn_seconds=0.1, turns=6000)
    training.begin()
    training.finish(training.go())


def crashing(job: JobFolder) -> None:
    """Dies without a word halfway; resumed, it gets to the end."""
    training = Training(job)
    training.begin()
    if not training.turn:
        training.go(until=0.5)
        os.kill(os.getpid(), signal.SIGTERM)
    training.finish(training.go())


def failing(job: JobFolder) -> None:
    """Says why it cannot go on."""
    training = Training(job)
    training.begin()
    training.say(Failed("The computer ran out of memory.", "Lower the resolution or the number of Gaussians, then resume."))
    job.clear_heartbeat()


def garbage(job: JobFolder) -> None:
    """Writes nonsense between its events and half previews, and gets to the end all the same."""
    training = Training(job)
    training.begin()
    while training.turn < training.turns:
        training.take_turn()
        job.preview.write_bytes(b"ply\nformat binary_little_endian 1.0\nelement vertex 5000000\nend_header\n" + b"\0" * 100)
        with open(job.events_file, "ab") as file:
            file.write(b'\xff\xfe\n{"event": "Progress", "step": "many"}\n[]\n{"event": "Sabotage"}\n' + b"x" * 200_000 + b"\n\n")
    training.finish(stopped=False)


def garbled_result(job: JobFolder) -> None:
    """Finishes with a result that is no PLY."""
    training = Training(job)
    training.begin()
    training.go(until=0.3)
    training.finish(stopped=False)
    job.result.write_bytes(b"not a ply")


def hanging(job: JobFolder) -> None:
    """Begins, then neither beats nor listens, not even to SIGTERM. Resumed, it gets to the end."""
    training = Training(job)
    training.begin()
    if not training.turn:
        training.go(until=0.3)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)
    training.finish(training.go())


def sick(job: JobFolder) -> None:
    """Pauses by itself halfway; told to go on, or resumed, it gets to the end."""
    training = Training(job)
    if not training.turn:
        training.begin()
        training.go(until=0.5)
        job.set_control("pause")
        training.say(Paused(training.step, "Most splats have become transparent."))
        while job.control() == "pause":
            job.heartbeat()
            time.sleep(0.02)
    time.sleep(1.0)  # until it speaks again, its last word is that it has paused
    training.begin()
    training.finish(training.go())


def patient_photos(job: JobFolder) -> None:
    """Looks for features of photos until it is stopped."""
    for _ in range(6000):
        job.heartbeat()
        job.append_event(Stage("extracting features", 3, 10, 7.0))
        if job.control() == "stop":
            job.append_event(Finished(0, 0, None, None, 1.0, True))
            break
        time.sleep(0.1)
    job.clear_heartbeat()


BEHAVIOURS: dict[str, Callable[[JobFolder], None]] = {
    behaviour.__name__: behaviour for behaviour in (happy, slow, crashing, failing, garbage, garbled_result, hanging, sick, patient_photos)
}


def main(behaviour: str, argument: str) -> None:
    if argument == "--self-check":
        ready = behaviour != "failing"
        message = "The built-in engine is ready." if ready else "The kernel library is missing."
        print(json.dumps({"ok": ready, "backend": "cpu", "message": message, "hint": "" if ready else "Reinstall the extension."}))
    else:
        BEHAVIOURS[behaviour](JobFolder(Path(argument)))


if __name__ == "__main__":
    words = sys.argv[2:]
    main(sys.argv[1], words[2] if words[0] == "-m" else words[0])  # as a Python it is given -m engine.worker FOLDER
