"""A client reads nothing but its own files, whatever its dataset, its photos and its video name."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.images.png import encode_png
from engine.remote.http import Connection, Rejected
from tests.scenes import write_ball_dataset
from tests.server.serving import Server, ask, digest, job, put, wait
from tests.sfm.videos import panning, write_video

FRAME = "file_path"
NAMED = {"file_path": "png", "mask_path": "png", "depth_file_path": "npy", "normal_file_path": "npy", "ply_file_path": "ply"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program `gs` that leaves a mark when it is started."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "gs").write_text(f"#!/bin/sh\necho started >> {folder / 'mark'}\nexit 1\n")
    (folder / "gs").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Server]:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{programs}{os.pathsep}{before}"
    try:
        made = Server(tmp_path_factory.mktemp("serve"), "--gpus", "cpu")
    finally:
        os.environ["PATH"] = before
    yield made
    made.close()


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a small dataset."""
    folder = write_ball_dataset(tmp_path_factory.mktemp("ball"), views=8, size=32).folder
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def secrets(tmp_path: Path, ball: dict[str, bytes]) -> Path:
    """Files of others: an image, a map and points."""
    (tmp_path / "secret.png").write_bytes(encode_png(np.zeros((32, 32, 3), np.uint8)))
    np.save(tmp_path / "secret.npy", np.ones((32, 32, 3), np.float32))
    (tmp_path / "secret.ply").write_bytes(ball["points3d.ply"])
    return tmp_path


def entries(server: Server, files: dict[str, bytes]) -> list[list[Any]]:
    """Send files; what a job says about them."""
    for data in files.values():
        put(server, digest(data), data)
    return [[name, len(data), digest(data)] for name, data in files.items()]


def naming(ball: dict[str, bytes], key: str, path: str) -> dict[str, bytes]:
    """The dataset, of which one name is that of another file."""
    values = json.loads(ball["transforms.json"])
    if key == "ply_file_path":
        values[key] = path
    else:
        values["frames"][1][key] = path
    return {**ball, "transforms.json": json.dumps(values).encode()}


def answer(server: Server, path: str, values: Any) -> str:
    """The text of an answer, or of a refusal."""
    line = Connection(server.address(), 120.0)
    try:
        with line.open("POST", path, json.dumps(values).encode()) as response:
            return response.read().decode()
    except Rejected as refusal:
        return f"{refusal.message} {refusal.hint}"
    finally:
        line.close()


@pytest.mark.parametrize("key", NAMED)
@pytest.mark.parametrize("way", ["absolute", "above", "process"])
def test_a_file_of_others_is_as_if_it_were_not_there(server: Server, ball: dict[str, bytes], secrets: Path, key: str, way: str) -> None:
    """The answers to the name of a file that is there and to one that is not are the same but for the name."""
    said = []
    for name in ("secret", "absent"):
        path = secrets / f"{name}.{NAMED[key]}"
        named = {"absolute": str(path), "above": os.path.relpath(path, server.folder / "clients" / "x" / "checks" / "y" / "input"),
                 "process": f"/proc/self/root{path}"}[way]
        text = answer(server, "/v1/check", job(entries(server, naming(ball, key, named))))
        said.append(text.replace(name, "NAME"))
    assert said[0] == said[1] and "not there" in said[0]


@pytest.mark.parametrize("key", ["mask_path", "ply_file_path"])
def test_an_estimate_reads_nothing_else_either(server: Server, ball: dict[str, bytes], secrets: Path, key: str) -> None:
    (secrets / "secret.ply").write_bytes(b"ply\nno points")
    (secrets / "secret.png").write_bytes(b"no image")
    text = answer(server, "/v1/estimate", job(entries(server, naming(ball, key, str(secrets / f"secret.{NAMED[key]}")))))
    assert "Estimated" in text and "damaged" not in text and "header" not in text, text


def ended(server: Server, name: str) -> str:
    """The events of a job, once it has ended."""
    wait(lambda: ask(server, "GET", f"/v1/jobs/{name}")["state"] in ("failed", "finished"), lambda: server.log)
    return (server.jobs() / name / "events.jsonl").read_text()


def playlist(secret: Path) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()


def concatenation(secret: Path) -> bytes:
    return f"ffconcat version 1.0\nfile '{secret}'\n".encode()


def neighbours(secret: Path) -> bytes:
    return b"ffconcat version 1.0\nfile 'neighbour.mp4'\n"


def session(secret: Path) -> bytes:
    return b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "avi"])
@pytest.mark.parametrize("written", [playlist, concatenation, neighbours, session])
def test_a_video_that_opens_other_files(server: Server, tmp_path: Path, written: Callable[[Path], bytes], ending: str) -> None:
    secret = write_video(tmp_path / "secret.ts", panning(8))
    files = {f"film.{ending}": written(secret), "neighbour.mp4": write_video(tmp_path / "neighbour.mp4", panning(8)).read_bytes()}
    spec = {"kind": "frames", "name": "x", "video": f"film.{ending}", "photos": "photos", "options": {}}
    name = f"film-{written.__name__}-{ending}"
    ask(server, "PUT", f"/v1/jobs/{name}", job(entries(server, files), spec=spec))
    assert "is no video" in ended(server, name)
    assert not [found for found in ask(server, "GET", f"/v1/jobs/{name}/files")["files"] if found["path"].startswith("photos")]


@pytest.mark.skipif(sys.platform == "win32", reason="the program that is not to be started is a shell script")
def test_a_photo_that_starts_a_program(server: Server, programs: Path) -> None:
    """EPS, whatever its ending, in a search for cameras and in a training's dataset."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n0 0 moveto 9 9 lineto stroke\nshowpage\n%%EOF\n"
    spec = {"kind": "poses", "name": "x", "photos": ".", "dataset": "dataset", "options": {}}
    ask(server, "PUT", "/v1/jobs/eps", job(entries(server, {f"{number}.jpg": eps + b"%%%d" % number for number in range(4)}), spec=spec))
    assert "readable photo" in ended(server, "eps")
    frames = [{"file_path": f"{number}.jpg", "transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, number], [0, 0, 0, 1]]}
              for number in range(4)]
    cameras = json.dumps({"fl_x": 64, "fl_y": 64, "w": 64, "h": 64, "frames": frames}).encode()
    files = {f"{number}.jpg": eps + b"%%%d" % number for number in range(4)} | {"transforms.json": cameras}
    assert "no image" in answer(server, "/v1/check", job(entries(server, files)))
    assert not (programs / "mark").exists()


def test_a_zip_is_not_unpacked(server: Server) -> None:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("transforms.json", b"0" * 10_000_000)
    for where in ("data.zip", "folder/data.zip"):
        text = answer(server, "/v1/check", job(entries(server, {where: packed.getvalue()})))
        assert "not unpacked" in text or "no dataset" in text, text


def test_files_that_were_sent_are_plain_files(server: Server, ball: dict[str, bytes]) -> None:
    ask(server, "PUT", "/v1/jobs/plain", job(entries(server, ball)))
    for path in (server.jobs() / "plain" / "input").rglob("*"):
        assert stat.S_ISREG(path.lstat().st_mode) or stat.S_ISDIR(path.lstat().st_mode)
    ask(server, "DELETE", "/v1/jobs/plain")
