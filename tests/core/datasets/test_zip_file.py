"""ZIP archives: unpacked once, and never further than is safe."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from engine.core.datasets.read import opened, read_dataset
from engine.core.datasets.sources import zip_file
from engine.core.errors import UserError
from engine.preflight.pose_checks import check_completeness
from tests.core.datasets.test_sources import split_file


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(zip_file.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def archive(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return path


@pytest.fixture
def members(tmp_path: Path) -> dict[str, bytes]:
    split_file((tmp_path / "made").mkdir() or tmp_path / "made", "train", list(range(9)), False)
    return {f"capture/{path.relative_to(tmp_path / 'made').as_posix()}": path.read_bytes()
            for path in (tmp_path / "made").rglob("*") if path.is_file()}


def test_a_dataset_in_a_zip(tmp_path: Path, cache: Path, members: dict[str, bytes]) -> None:
    path = archive(tmp_path / "in" / "capture.zip", {**members, "__MACOSX/capture/._a.png": b"x"})
    found = read_dataset(path)
    assert len(found.views) == 9 and found.folder.is_relative_to(cache) and found.unpacked_to == found.folder
    assert any(str(found.folder) in finding.message for finding in check_completeness(found)), "where it was unpacked is said"
    assert not list(cache.rglob("__MACOSX")) and not list(cache.glob("*.part"))
    before = found.folder.stat().st_mtime_ns
    assert read_dataset(path.parent).folder == found.folder, "the only ZIP in a folder is meant, and unpacked once"
    assert found.folder.stat().st_mtime_ns == before
    assert read_dataset(found.folder).unpacked_to is None


def test_photos_beside_a_zip_are_not_passed_over(tmp_path: Path, cache: Path, members: dict[str, bytes]) -> None:
    Image.new("RGB", (4, 4)).save(archive(tmp_path / "in" / "a.zip", members).parent / "a.png")
    with pytest.raises(UserError, match="holds 1 images but no cameras"):
        read_dataset(tmp_path / "in")
    assert opened(tmp_path / "in") == tmp_path / "in" and not cache.exists()


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "C:\\out.txt", "..\\out.txt", "\\\\host\\out.txt"])
def test_names_that_lead_elsewhere(tmp_path: Path, cache: Path, name: str) -> None:
    with pytest.raises(UserError, match="names a file outside of itself"):
        read_dataset(archive(tmp_path / "bad.zip", {"transforms.json": b"{}", name: b"x"}))
    assert not list(cache.glob("*")) and not (tmp_path / "out.txt").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="names that Windows alone does not take")
@pytest.mark.parametrize("name", ["images/aux.png", "nul", "a./b.png"])
def test_names_that_windows_does_not_take(tmp_path: Path, cache: Path, name: str) -> None:
    with pytest.raises(UserError, match="whose name Windows does not take"):
        read_dataset(archive(tmp_path / "bad.zip", {"transforms.json": b"{}", name: b"x"}))
    assert not list(cache.glob("*"))


def test_links_are_refused(tmp_path: Path, cache: Path) -> None:
    link = zipfile.ZipInfo("images")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as made:
        made.writestr(link, "/etc")
    with pytest.raises(UserError, match="holds a link, images"):
        read_dataset(tmp_path / "link.zip")
    assert not list(cache.glob("*"))


def test_what_grows_without_bound_is_refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_file, "UNSUSPICIOUS", 1 << 16)
    bomb = archive(tmp_path / "bomb.zip", {"a.txt": bytes(1 << 20)})
    with pytest.raises(UserError, match="would become 1 files"):
        read_dataset(bomb)
    monkeypatch.setattr(zip_file, "UNSUSPICIOUS", 1 << 30)
    monkeypatch.setattr(zip_file, "MOST_FILES", 0)
    with pytest.raises(UserError, match="would become 1 files"):
        read_dataset(bomb)
    assert not list(cache.glob("*"))


def test_a_size_that_lies_is_not_believed(tmp_path: Path, cache: Path) -> None:
    """A member that holds more than the directory says is cut there, and its checksum then tells."""
    data = bytearray(archive(tmp_path / "lie.zip", {"a.txt": bytes(1 << 20)}).read_bytes())
    for at in range(len(data) - 4):
        if data[at : at + 4] == (1 << 20).to_bytes(4, "little"):
            data[at : at + 4] = (1000).to_bytes(4, "little")
    (tmp_path / "lie.zip").write_bytes(data)
    with pytest.raises(UserError):
        read_dataset(tmp_path / "lie.zip")
    assert sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) <= 1000


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_damaged_archives(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"cannot be unpacked|holds no dataset"):
        read_dataset(tmp_path / "a.zip")


def test_cut_off_and_encrypted_archives(tmp_path: Path, members: dict[str, bytes]) -> None:
    whole = archive(tmp_path / "a.zip", members).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be unpacked"):
        read_dataset(tmp_path / "a.zip")
    buffer = io.BytesIO(whole)
    with zipfile.ZipFile(buffer) as made:
        offsets = [info.header_offset for info in made.infolist()]
    locked = bytearray(whole)
    for offset in offsets:
        locked[offset + 6] |= 1
    central = locked.index(b"PK\x01\x02")
    while central >= 0:
        locked[central + 8] |= 1
        central = locked.find(b"PK\x01\x02", central + 4)
    (tmp_path / "b.zip").write_bytes(locked)
    with pytest.raises(UserError, match="cannot be unpacked"):
        read_dataset(tmp_path / "b.zip")


def test_what_is_sent_to_another_computer_is_the_dataset_not_the_zip(tmp_path: Path, members: dict[str, bytes]) -> None:
    from engine.core.protocol.config import TrainConfig
    from engine.core.protocol.spec import JobSpec
    from engine.remote.upload import pack, quiet

    path = archive(tmp_path / "in" / "capture.zip", members)
    (tmp_path / "in" / "unrelated.txt").write_text("stays here")
    manifest = pack(JobSpec(path, TrainConfig()), 0, quiet)
    assert sorted(entry.path for entry in manifest.submission.files) == sorted(name.removeprefix("capture/") for name in members)


@pytest.mark.parametrize("place", ["in", "in/capture.zip"])
def test_a_zip_that_a_client_sent_is_not_unpacked(tmp_path: Path, cache: Path, members: dict[str, bytes], place: str) -> None:
    from engine.core.datasets.read import read_dataset_of
    from engine.core.protocol.config import TrainConfig
    from engine.core.protocol.folder import JobFolder
    from engine.core.protocol.spec import JobSpec

    job = JobFolder(tmp_path / "job")
    archive(job.path / "in" / "capture.zip", members)
    job.write_spec(JobSpec(job.path / place, TrainConfig()))
    with pytest.raises(UserError, match="was sent is not unpacked"):
        read_dataset_of(job)
    assert not cache.exists()
