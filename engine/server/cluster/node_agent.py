"""What runs inside Ray on the machines of a cluster. Ray sends this file's content there, so it needs the standard library alone."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

SELF_CHECK_SECONDS = 60
WAIT_SECONDS = 0.1

Complaint = tuple[str, str]
"""What is wrong, and what to do about it; two empty strings where all is well."""


class SupervisedWorker:
    """One worker process. It ends with this object, whatever becomes of the machine's connection to the others."""

    def __init__(self, folder: str, cards: int, cores: tuple[int, ...], code: tuple[str, str, str]):
        paths, package = code_here(code)
        command = [sys.executable, "-m", f"{package}.server.cluster.supervised_worker", folder, *map(str, cores)]
        self.supervisor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(paths, cards),
                                      start_new_session=True)
        self.status: int | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    async def wait(self) -> int:
        """The worker's exit status, None while it runs, -1 when it is unknown."""
        while self.status is None:
            await asyncio.sleep(WAIT_SECONDS)
        return self.status

    def _listen(self) -> None:
        said = self.supervisor.stdout.read() if self.supervisor.stdout else b""
        self.status = int(said or -1)


def environment(paths: str, cards: int) -> dict[str, str]:
    """Variables of a worker. Ray has chosen the cards; it allows one thread to whoever asks for no core."""
    variables = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"}
    variables.pop("OMP_NUM_THREADS", None)
    return variables if cards else {**variables, "CUDA_VISIBLE_DEVICES": ""}


def code_here(code: tuple[str, str, str]) -> tuple[str, str]:
    """What to import the engine from, and its name: the server's own folder where this machine sees it, else what is installed."""
    folder, package, _ = code
    if Path(folder, package, "worker.py").is_file():
        return folder, package
    return "", "splatwright"


def look(place: str, token: str, code: tuple[str, str, str]) -> Complaint:
    """Whether jobs of the server can run on this machine: it sees the folder, may write there, and has the engine.

    The folder holds the file `token`.ask; its content comes back as `token`.answer.
    """
    host = platform.node()
    if not sys.platform.startswith("linux"):
        return f"{host} runs {platform.system()}.", "Jobs go to machines with Linux: take it out of the cluster with: ray stop"
    asked, answer = Path(place, f"{token}.ask"), Path(place, f"{token}.answer")
    try:
        text = asked.read_text(encoding="utf-8")
    except OSError:
        return (f"{host} does not see the server's folder {Path(place).parent}.",
                "Mount it there at the same path, or give --folder a folder that all machines share.")
    try:
        answer.write_text(text, encoding="utf-8")
    except OSError as error:
        return (f"{host} may not write in the server's folder {Path(place).parent}: {error.strerror}.",
                "Run Ray there as the user who runs the server, and mount the folder for reading and writing.")
    return look_at_code(host, code)


def look_at_code(host: str, code: tuple[str, str, str]) -> Complaint:
    """Whether the engine is on this machine, of the server's version, and can run."""
    folder, _, version = code
    paths, package = code_here(code)
    install = f"Install it there with: {sys.executable} -m pip install splatwright=={version}"
    if not paths and importlib.util.find_spec(package) is None:
        return f"{host} has no Splatwright, neither installed nor in {folder}.", install
    if not paths and importlib.metadata.version(package) != version:
        return f"{host} has Splatwright {importlib.metadata.version(package)}, the server has {version}.", install
    command = [sys.executable, "-m", f"{package}.worker", "--self-check"]
    try:
        done = subprocess.run(command, env=environment(paths, 0), capture_output=True, text=True, timeout=SELF_CHECK_SECONDS)
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return f"The engine cannot be started on {host}.", f"Run there, to see why: {' '.join(command)}"
    return ("", "") if found["ok"] else (f"The engine cannot run on {host}: {found['message']}", found["hint"])
