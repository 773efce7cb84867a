"""What the server costs: training through it beside the bare command line, sending a large dataset, listing a long queue.

`python -m tests.bench.bench_serve [upload] [queue] [overhead]`. Real processes over the loopback; figures as
a table and in out/bench_serve.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.core.protocol.config import TrainConfig
from engine.core.protocol.http_messages import submission_to_json
from engine.core.protocol.spec import JobSpec, PosesSpec
from engine.remote.upload import SENDING, pack, send
from tests.scenes import write_ball_dataset
from tests.server.serving import ROOT, TOKEN, Server, ask

FILES, FILE_SIZE = 2000, 10**6
QUEUED = 200
STEPS = 3000
ROUNDS = 3


def main(wanted: list[str]) -> None:
    """Run the parts that are asked for, or all."""
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {"upload": upload, "queue": queue, "overhead": overhead}
    figures = {}
    with tempfile.TemporaryDirectory(prefix="splatwright-bench-") as folder:
        for name, measure in parts.items():
            if not wanted or name in wanted:
                figures[name] = measure(Path(folder))
                for key, value in figures[name].items():
                    print(f"{name:10} {key:45} {value}", flush=True)
    (ROOT / "out").mkdir(exist_ok=True)
    (ROOT / "out" / "bench_serve.json").write_text(json.dumps(figures, indent=2))


def upload(folder: Path) -> dict[str, Any]:
    """2,000 files of 1 MB: cut off in the middle, then sent to the end; beside it what the disk does with the same files."""
    photos = folder / "photos"
    photos.mkdir()
    for number in range(FILES):
        (photos / f"{number:05d}.png").write_bytes(os.urandom(FILE_SIZE))
    copied = copy_speed(photos, folder / "copies")
    server = Server(folder / "serve", "--gpus", "cpu")
    try:
        start = time.perf_counter()
        manifest = pack(PosesSpec(photos), 0, lambda *_: None)
        hashed = time.perf_counter() - start
        before, rest = half_and_rest(server, manifest)
        there = ask(server, "GET", "/v1/jobs")["jobs"]
        assert len(there) == 1
        memory = server.memory()
    finally:
        server.close()
    total = FILES * FILE_SIZE / 1e6
    return {"megabytes": total, "hashing MB/s": round(total / hashed), "first part MB/s": round(before), "after the cut MB/s": round(rest),
            "plain copy with hash MB/s": round(copied), "server's memory at most MB": round(memory / 1e6)}


def half_and_rest(server: Server, manifest: Any) -> tuple[float, float]:
    """MB/s until half of the bytes are there, and from a new beginning to the end."""
    seen = [0]
    half = threading.Event()

    def tell(stage: str, done: int, total: int) -> None:
        if stage == SENDING:
            seen[0] = done
            if done * 2 >= total:
                half.set()

    speeds = []
    for cancelled in (half.is_set, lambda: False):
        begin, start = seen[0], time.perf_counter()
        send(server.address(), "bench", manifest, tell, cancelled)
        speeds.append((seen[0] - begin) / 1e6 / (time.perf_counter() - start))
    return speeds[0], speeds[1]


def copy_speed(source: Path, target: Path) -> float:
    """MB/s of reading, hashing and writing the files one after the other."""
    target.mkdir()
    start = time.perf_counter()
    for path in sorted(source.iterdir()):
        data = path.read_bytes()
        hashlib.sha256(data).hexdigest()
        (target / path.name).write_bytes(data)
    return FILES * FILE_SIZE / 1e6 / (time.perf_counter() - start)


def queue(folder: Path) -> dict[str, Any]:
    """Listing 200 jobs, nearly all of them waiting."""
    server = Server(folder / "queue", "--gpus", "cpu")
    try:
        dataset = write_ball_dataset(folder / "queue-ball").folder
        endless = pack(JobSpec(dataset, TrainConfig(max_steps=1_000_000, resolution=64, threads=1)), 0, lambda *_: None)
        send(server.address(), "endless", endless, lambda *_: None, lambda: False)
        body = submission_to_json(endless.submission)
        start = time.perf_counter()
        for number in range(QUEUED - 1):
            ask(server, "PUT", f"/v1/jobs/job-{number}", body)
        submitted = time.perf_counter() - start
        times = []
        for _ in range(20):
            start = time.perf_counter()
            found = ask(server, "GET", "/v1/jobs")["jobs"]
            times.append(time.perf_counter() - start)
        waiting = sum(job["state"] == "queued" for job in found)
    finally:
        server.close()
    return {"jobs": len(found), "waiting": waiting, "submitting one, ms": round(submitted / (QUEUED - 1) * 1000, 1),
            "listing, median ms": round(statistics.median(times) * 1000, 1), "listing, slowest ms": round(max(times) * 1000, 1)}


def overhead(folder: Path) -> dict[str, Any]:
    """The same training through the server and without it, by turns; wall time of the whole command and of the training."""
    dataset = write_ball_dataset(folder / "overhead-ball", views=24, size=256).folder
    server = Server(folder / "overhead", "--gpus", "cpu")
    whole: dict[str, list[float]] = {"bare": [], "served": []}
    inside: dict[str, list[float]] = {"bare": [], "served": []}
    try:
        for turn in range(ROUNDS):
            for kind, flags in (("bare", []), ("served", ["--engine", server.url])):
                start = time.perf_counter()
                answer = train(dataset, folder / f"{kind}-{turn}.ply", flags)
                whole[kind].append(time.perf_counter() - start)
                inside[kind].append(answer["seconds"])
    finally:
        server.close()
    return {"bare command s": rounded(whole["bare"]), "served command s": rounded(whole["served"]),
            "bare training s": rounded(inside["bare"]), "served training s": rounded(inside["served"]),
            "overhead of the command, best of each": f"{min(whole['served']) / min(whole['bare']) - 1:+.1%}",
            "overhead of the training, best of each": f"{min(inside['served']) / min(inside['bare']) - 1:+.1%}"}


def train(dataset: Path, output: Path, flags: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "engine", "train", str(dataset), "-o", str(output), "--max-steps", str(STEPS), "--resolution", "256",
               "--max-gaussians", "5000", *flags]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "SPLATWRIGHT_TOKEN": TOKEN}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rounded(seconds: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
