"""The viewer over a real socket: what it serves, what it sends, and that it follows a file that changes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.cli.view import newest_file
from engine.core.errors import UserError
from engine.core.formats.ply import write_ply
from engine.core.images.png import decode_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.viewer import viewing
from tests.scenes import colored_ball, write_ball_dataset

pytest.importorskip("viser")
ROOT = Path(__file__).resolve().parents[2]
BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (path := shutil.which(name))), "")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_bytes(address: str, port: int) -> str:
    with urllib.request.urlopen(f"http://{address}:{port}/", timeout=20) as answer:
        return answer.read().decode("utf-8", "replace")


def test_it_serves_the_page_and_listens_on_this_computer_alone(tmp_path: Path) -> None:
    write_ply(tmp_path / "ball.ply", colored_ball(200))
    with viewing(lambda: tmp_path / "ball.ply", port=free_port()) as viewer:
        assert viewer.refresh() and not viewer.refresh(), "read once while it stays the same"
        assert "<html" in first_bytes("127.0.0.1", viewer.port).lower()
        others = {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
        for address in others - {found for found in others if found.startswith("127.")}:
            with pytest.raises(OSError), socket.create_connection((address, viewer.port), timeout=2):
                pass
        port = viewer.port
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        pass


def test_it_follows_a_file_that_changes_and_survives_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "preview.ply"
    with viewing(lambda: path if path.exists() else None, port=free_port()) as viewer:
        assert not viewer.refresh() and "Waiting" in viewer.status.content
        write_ply(path, colored_ball(100))
        assert viewer.refresh() and "100 Gaussians" in viewer.status.content
        whole = path.read_bytes()
        path.write_bytes(whole[:500])
        assert not viewer.refresh() and "preview.ply" in viewer.status.content
        write_ply(path, colored_ball(300))
        assert viewer.refresh() and "300 Gaussians" in viewer.status.content and viewer.loads == 2


def test_cameras_and_photos_of_the_dataset(tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "ball", views=9, size=32)
    dataset.views[2].image.write_bytes(b"damaged")
    write_ply(tmp_path / "ball.ply", colored_ball(50))
    with viewing(lambda: tmp_path / "ball.ply", dataset.views, port=free_port()) as viewer:
        assert len(viewer.frusta) == 9
        for view, frustum in zip(dataset.views, viewer.frusta, strict=True):
            assert np.allclose(frustum.position, view.camera.position, atol=1e-5)
            assert (frustum.color == viewer.frusta[0].color) == view.held_out, "held-out ones, of which the first is one, stand out"
        assert viewer.frusta[2].image is None and viewer.frusta[3].image.shape == (32, 32, 3)


def test_of_a_training_the_newer_file_is_shown(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(tmp_path, TrainConfig()))
    assert newest_file(job.path) is None
    for number, path in enumerate((job.preview, job.result)):
        write_ply(path, colored_ball(5))
        os.utime(path, (number, number))
        assert newest_file(job.path) == path
    with pytest.raises(UserError, match="not a job folder"):
        newest_file(tmp_path)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "engine", "view", *map(str, arguments)]


def test_bad_input_is_told_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path / "gone.ply"), capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1 and "does not exist" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")
def test_a_browser_shows_the_splats_of_a_running_training(tmp_path: Path) -> None:
    """The command in a process of its own, the browser on its socket: the colours of the ball are on the screen."""
    dataset = write_ball_dataset(tmp_path / "ball", views=6, size=32)
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(dataset.folder, TrainConfig()))
    green = replace(colored_ball(400), sh0=np.tile(np.float32([-1.5, 1.5, -1.5]), (400, 1, 1)))
    write_ply(job.preview, green)
    port, picture = free_port(), tmp_path / "seen.png"
    server = subprocess.Popen(command(job.path, "--port", port), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 40
        while time.monotonic() < end:
            try:
                first_bytes("127.0.0.1", port)
                break
            except OSError:
                time.sleep(0.3)
        subprocess.run([BROWSER, "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--ignore-gpu-blocklist",
                        "--enable-unsafe-swiftshader", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=700,500",
                        "--virtual-time-budget=9000", f"--screenshot={picture}", f"http://127.0.0.1:{port}/"],
                       capture_output=True, timeout=120, check=True)
    finally:
        server.terminate()
        server.wait(20)
    seen = decode_png(picture.read_bytes())[..., :3].astype(int)
    assert ((seen[..., 1] > seen[..., 0] + 60) & (seen[..., 1] > seen[..., 2] + 60)).sum() > 2000


def asked_as(port: int, *headers: str) -> int:
    """The status of a request with these very headers."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall("\r\n".join(("GET / HTTP/1.1", *headers, "Connection: close", "", "")).encode())
        return int(connection.recv(64).split(b" ")[1])


def test_pages_of_other_sites_get_nothing(tmp_path: Path) -> None:
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13")
    with viewing(lambda: None, port=free_port()) as viewer:
        here = f"127.0.0.1:{viewer.port}"
        for own in (here, f"localhost:{viewer.port}", f"[::1]:{viewer.port}"):
            assert asked_as(viewer.port, f"Host: {own}") == 200
            assert asked_as(viewer.port, f"Host: {own}", f"Origin: http://{own}") == 200
        for stranger in ("evil.example", "127.0.0.1.evil.example", f"evil.example:{viewer.port}", ""):
            assert asked_as(viewer.port, f"Host: {stranger}") in (400, 403)
        for origin in ("http://evil.example", "null", f"http://localhost:{viewer.port + 1}"):
            assert asked_as(viewer.port, f"Host: {here}", f"Origin: {origin}") == 403
            assert asked_as(viewer.port, f"Host: {here}", f"Origin: {origin}", *upgrade) == 403
        assert asked_as(viewer.port, f"Host: {here}", f"Origin: http://{here}", *upgrade) == 101
