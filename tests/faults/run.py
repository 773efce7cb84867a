"""Random kills and faults over server, workers, clients, connections and job folders, with real processes on the processor.

`python -m tests.faults.run --faults 100 --seed 7`. At the end every training must have got to its end with a result that can be
read, nothing may run any more, and the port must be free. The seed is printed: the same seed gives the same faults.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.events import Finished, Progress, Started
from engine.core.job import JobFolder
from engine.core.ply import read_ply
from tests.scenes import write_ball_dataset
from tests.server.proxy import CuttingProxy
from tests.server.serving import ROOT, TOKEN, Server

STEPS = 4000
CHECKPOINT_SECONDS = 0.5
LOST_SECONDS = 10.0
PATIENCE = 300.0
MAY_SAY = ("ended several times", "stopped before the end")
"""What a command may end with after several kills in a row; run again it goes on."""


@dataclass
class Command:
    """`splatwright train`, begun again whenever it was killed, until its output is there."""

    folder: Path
    dataset: Path
    engine: str  # address, or empty for this computer
    done: int = 0
    restarts: int = 0
    process: subprocess.Popen[str] | None = None
    complaints: list[str] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.folder / f"scene-{self.done}.ply"

    def look(self, more: bool) -> bool:
        """Begin, or begin again. False once there is nothing left to do."""
        if self.process is not None and self.process.poll() is None:
            return True
        if self.process is not None:
            self._ended(self.process)
        if self.process is None and not more:
            return False
        self._start()
        return True

    def _ended(self, process: subprocess.Popen[str]) -> None:
        said = process.stderr.read() if process.stderr else ""
        if process.returncode == 0:
            assert len(read_ply(self.output).gaussians) > 0
            self.done += 1
            self.process = None
        else:
            self.restarts += 1
            if process.returncode > 0 and not any(words in said for words in MAY_SAY):
                self.complaints.append(said[-2000:])

    def _start(self) -> None:
        flags = ["--max-steps", str(STEPS), "--resolution", "64", "--max-gaussians", "600", "--threads", "1", "--refine-every", "50",
                 "--checkpoint-seconds", str(CHECKPOINT_SECONDS), "--preview-seconds", "0.3"]
        command = [sys.executable, "-m", "engine", "train", str(self.dataset), "-o", str(self.output), *flags]
        environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, "SPLATWRIGHT_ENGINE": self.engine}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@dataclass
class Scene:
    """All that can break."""

    folder: Path
    server: Server
    proxy: CuttingProxy
    commands: list[Command]
    random: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def jobs(self) -> list[JobFolder]:
        """The folders that workers write: those of the server, and of the command on this computer."""
        far = self.server.jobs().glob("*/job.json")
        return [JobFolder(path.parent) for path in (*far, *(self.folder / "near").glob("*.job/job.json"))]

    def workers(self) -> list[int]:
        return [pid for job in self.jobs() if (pid := job.worker_pid()) and _runs(pid, self.folder)]

    def break_something(self) -> None:
        """One fault; another one where there is nothing to break."""
        faults = [self.kill_server, self.kill_worker, self.kill_command, self.cut_connections, self.freeze_server, self.freeze_worker,
                  self.spoil_checkpoint, self.spoil_heartbeat, self.tear_event, self.turn_clock]
        self.random.shuffle(faults)
        for fault in faults:
            if fault():
                self.counts[fault.__name__] += 1
                return

    def kill_server(self) -> bool:
        self.server.kill()
        time.sleep(self.random.uniform(0, 0.5))
        self.server.start()
        return True

    def kill_worker(self) -> bool:
        return self._signal(self.workers(), signal.SIGKILL)

    def kill_command(self) -> bool:
        running = [command.process.pid for command in self.commands if command.process and command.process.poll() is None]
        return self._signal(running, signal.SIGKILL)

    def cut_connections(self) -> bool:
        self.proxy.cut_all()
        return True

    def freeze_server(self) -> bool:
        return self._freeze([self.server.process.pid])

    def freeze_worker(self) -> bool:
        return self._freeze(self.workers())

    def spoil_checkpoint(self) -> bool:
        """As a power cut leaves a file that was not on the disk yet: the one before it must do."""
        found = [job.checkpoint / "state.npz" for job in self.jobs() if (job.checkpoint / "previous.npz").exists()]
        if not found or not self.kill_worker():
            return False
        with suppress(OSError):
            os.truncate(self.random.choice(found), 100)
        return True

    def spoil_heartbeat(self) -> bool:
        return self._write("heartbeat", b"{")

    def tear_event(self) -> bool:
        """Half a line, as of a worker that died while it wrote."""
        found = [job.events_file for job in self.jobs() if job.events_file.exists()]
        if not found:
            return False
        with open(self.random.choice(found), "ab") as file:
            file.write(b'{"event": "Progress", "st\n')
        return True

    def turn_clock(self) -> bool:
        """The heartbeat's time jumps into the future or the past, as when the clock is set."""
        found = [job.path / "heartbeat" for job in self.jobs()]
        jump = self.random.choice([-3600, 3600])
        for path in found:
            with suppress(OSError):
                os.utime(path, (time.time() + jump, time.time() + jump))
                return True
        return False

    def _write(self, name: str, data: bytes) -> bool:
        found = [job.path / name for job in self.jobs() if (job.path / name).exists()]
        if found:
            self.random.choice(found).write_bytes(data)
        return bool(found)

    def _signal(self, pids: list[int], number: int) -> bool:
        for pid in pids[:1] if len(pids) < 2 else [self.random.choice(pids)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                return True
        return False

    def _freeze(self, pids: list[int]) -> bool:
        if not self._signal(pids, signal.SIGSTOP):
            return False
        time.sleep(self.random.uniform(0.1, 1.0))
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return True


def main() -> int:
    """Break things, wait for the end, count what was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="splatwright-faults-") as name:
        folder = Path(name)
        dataset = write_ball_dataset(folder / "dataset").folder
        server = Server(folder / "serve", "--gpus", "cpu")
        proxy = CuttingProxy(server.port, cut_after=400_000, seed=asked.seed)
        url = f"http://127.0.0.1:{proxy.port}"
        commands = [Command(_made(folder / where), dataset, engine) for where, engine in (("far", url), ("second", url), ("near", ""))]
        scene = Scene(folder, server, proxy, commands, random.Random(asked.seed))
        try:
            go_through(scene, asked.faults)
            problems = losses(scene)
        finally:
            proxy.close()
            server.close()
        problems += remains(scene)
    told = ", ".join(f"{count} {fault.replace('_', ' ')}" for fault, count in scene.counts.most_common())
    print(f"{sum(scene.counts.values())} faults: {told}; {proxy.cuts} connections cut")
    print(f"{sum(command.done for command in commands)} trainings got to their end, commands were begun again "
          f"{sum(command.restarts for command in commands)} times")
    for problem in problems:
        print("PROBLEM:", problem)
    return 1 if problems else 0


def go_through(scene: Scene, faults: int) -> None:
    """So many faults, then peace until all is done."""
    for number in range(faults):
        for command in scene.commands:
            command.look(more=True)
        time.sleep(scene.random.uniform(0.3, 1.2))
        scene.break_something()
        if number % 10 == 9:
            print(f"{number + 1} of {faults} faults, {sum(command.done for command in scene.commands)} trainings done", flush=True)
    end = time.monotonic() + PATIENCE
    while any([command.look(more=False) for command in scene.commands]):
        assert time.monotonic() < end, "the trainings do not come to their end"
        time.sleep(0.1)


def losses(scene: Scene) -> list[str]:
    """What was lost, in sentences."""
    found = [f"a command ended with: {said}" for command in scene.commands for said in command.complaints]
    for job in scene.jobs():
        events = job.read_events()[0]
        if not isinstance(events[-1], Finished):
            found.append(f"{job.name} ended with {events[-1]}")
        best, rate = 0, 0.0
        for event in events:
            if isinstance(event, Started) and event.step < best - LOST_SECONDS * max(rate, 1):
                found.append(f"{job.name} went back from step {best} to {event.step} at {rate:.0f} steps a second")
            if isinstance(event, Progress):
                best, rate = max(best, event.step), max(rate, event.steps_per_second)
    return found


def remains(scene: Scene) -> list[str]:
    """Processes and ports that should be gone."""
    end = time.monotonic() + 10
    while (left := _processes(scene.folder)) and time.monotonic() < end:
        time.sleep(0.2)
    found = [f"process {pid} is left: {words}" for pid, words in left.items()]
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", scene.server.port))
    except OSError as error:
        found.append(f"port {scene.server.port} is not free: {error}")
    return found


def _processes(folder: Path) -> dict[int, str]:
    """Every process whose command line names the folder."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(folder) in words and int(path.parent.name) != os.getpid():
                found[int(path.parent.name)] = words[:200]
    return found


def _runs(pid: int, folder: Path) -> bool:
    """Whether this is one of our workers, and no process that got its number later."""
    return pid in _processes(folder)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
