"""Pictures from real videos, made here: sharp, upright, in sRGB, none twice, and a sentence for what is no video."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engine.cli.main import run
from engine.core.errors import UserError
from engine.core.protocol.progress import Step
from engine.core.protocol.sfm_options import FrameOptions
from engine.sfm.frames import LOOK, TAKE, FramesReport, extract_frames, sharpness
from engine.sfm.video import upright
from tests.sfm.videos import blurred, panning, texture, write_video


def taken(video: Path, folder: Path, **options: object) -> tuple[FramesReport, list[np.ndarray]]:
    report = extract_frames(video, folder, FrameOptions(**options))  # type: ignore[arg-type]
    assert sorted(report.pictures) == sorted(folder.iterdir()), "nothing but pictures"
    return report, [np.asarray(Image.open(path)) for path in report.pictures]


def far(picture: np.ndarray, frames: list[np.ndarray]) -> float:
    """Mean difference to the frame that is nearest."""
    return min(float(np.abs(picture.astype(int) - frame).mean()) for frame in frames)


@pytest.mark.parametrize("name, codec, pixels", [
    ("a.mp4", "libx264", "yuv420p"), ("a.mov", "libx265", "yuv420p"), ("a.mkv", "ffv1", "yuv444p"), ("a.webm", "libvpx-vp9", "yuv420p"),
    ("a.avi", "mpeg4", "yuv420p"), ("a.mts", "libx264", "yuv420p"), ("a.mov", "prores_ks", "yuv422p10le"),
    ("a.mpg", "mpeg2video", "yuv420p"), ("видео 一.mp4", "libx264", "yuv420p"), ("no ending", "libx264", "yuv420p"),
], ids=str)
def test_any_common_container(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    fps = 25 if codec == "mpeg2video" else 10
    frames = panning(30)
    made = write_video(tmp_path / (name if "." in name else "x.mp4"), frames, codec, pixels, fps)
    video = made.rename(tmp_path / name)
    report, pictures = taken(video, tmp_path / "ein Ordner ü", count=6)
    assert len(pictures) == 6 and report.frames >= 29 and pictures[0].shape == (120, 160, 3)
    assert report.pictures[0].name == f"{video.stem}_00001.jpg" and not report.notes()
    assert far(pictures[0], frames) < 8, "colours are those of the video"


def test_by_rate(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", panning(40))
    assert len(taken(video, tmp_path / "out", rate=2.0)[1]) == 8
    assert len(taken(video, tmp_path / "out", rate=1.0)[1]) == 4, "an earlier run is replaced"
    assert len(taken(video, tmp_path / "all", count=1000)[1]) == 40, "no more pictures than frames"


def test_the_sharpest_of_each_stretch(tmp_path: Path) -> None:
    frames = [image if index % 5 == 3 else blurred(image) for index, image in enumerate(panning(30))]
    _, pictures = taken(write_video(tmp_path / "a.mkv", frames, "ffv1", "yuv444p"), tmp_path / "out", count=6)
    assert len(pictures) == 6
    for number, picture in enumerate(pictures):
        difference = [np.abs(picture.astype(int) - frame).mean() for frame in frames]
        assert int(np.argmin(difference)) == 5 * number + 3


def test_sharpness() -> None:
    image = texture()
    assert sharpness(image[..., 0]) > 5 * sharpness(blurred(image)[..., 0]) and sharpness(np.zeros((2, 9), np.uint8)) == 0


def test_a_camera_that_stands_still(tmp_path: Path) -> None:
    moving = panning(20)
    still = [moving[9]] * 20
    video = write_video(tmp_path / "a.mp4", [*moving[:10], *still, *moving[10:]])
    report, pictures = taken(video, tmp_path / "out", count=20)
    assert report.alike in (8, 9, 10) and len(pictures) == 20 - report.alike and "stood still" in report.text()
    assert len(taken(video, tmp_path / "all", count=20, keep_alike=True)[1]) == 20
    report, pictures = taken(write_video(tmp_path / "b.mp4", still), tmp_path / "one", count=5)
    assert (len(pictures), report.alike) == (1, 4)


@pytest.mark.parametrize("turn", [0, 90, -90, 180])
def test_a_phone_held_upright(tmp_path: Path, turn: int) -> None:
    """The file asks players to turn what is stored, counter-clockwise by `turn` degrees."""
    frames = panning(6)
    report, pictures = taken(write_video(tmp_path / "a.mp4", frames, turn=turn), tmp_path / "out", count=2)
    assert far(pictures[0], [np.rot90(frame, turn // 90) for frame in frames]) < 8
    assert (report.width, report.height) == ((160, 120) if turn in (0, 180) else (120, 160))
    assert ("upright" in report.text()) == bool(turn)


def test_mirrored_selfies() -> None:
    image = texture()
    assert (upright(image, np.array([[-1, 0], [0, 1]])) == image[:, ::-1]).all()
    assert (upright(image, np.array([[0, 1], [1, 0]])) == image.swapaxes(0, 1)).all()
    assert (upright(image, np.array([[0, -1], [1, 0]])) == np.rot90(image, -1)).all()


def test_hlg_of_ten_bits(tmp_path: Path) -> None:
    """A phone's HDR: greys of half and of full reference white, and HLG's peak, in three stripes."""
    picture = np.full((120, 160, 3), 512, np.uint16)
    rng = np.random.default_rng(0)
    for stripe, code in enumerate((64, 64 + round(0.75 * 876), 940)):
        picture[40 * stripe : 40 * stripe + 40, :, 0] = code
    picture[:4, :, 0] += rng.integers(0, 40, (4, 160)).astype(np.uint16)
    tags = {"color_primaries": 9, "color_trc": 18, "colorspace": 9}
    video = write_video(tmp_path / "a.mov", [picture] * 4, "libx265", "yuv420p10le", tags=tags)
    report, pictures = taken(video, tmp_path / "out", count=1)
    dark, white, peak = (pictures[0][row : row + 20, 40:120].mean() for row in (12, 50, 90))
    assert dark < 6 and 205 < white < 240 and peak > 250
    assert report.hdr == "HLG" and "tone-mapped" in report.text()


def comb(image: np.ndarray) -> float:
    """How much lines differ from their neighbours."""
    lines = image.astype(int)
    return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())


def test_an_interlaced_camcorder(tmp_path: Path) -> None:
    """Odd lines are from a moment later; pictures show one moment, and a comb counts as no sharpness."""
    moments = panning(24)
    woven = [moments[index].copy() for index in range(0, 24, 2)]
    for index, frame in enumerate(woven):
        frame[1::2] = moments[2 * index + 1][1::2]
    options = {"crf": "8", "flags": "+ildct+ilme", "x264-params": "tff=1"}
    _, pictures = taken(write_video(tmp_path / "a.mts", woven, options=options), tmp_path / "out", count=3)
    assert len(pictures) == 3 and comb(woven[3]) > 40
    assert all(comb(picture) < 1.3 * comb(moments[0]) for picture in pictures)


def test_size_and_pixels_that_are_not_square(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", panning(6))
    assert taken(video, tmp_path / "small", count=1, size=80)[1][0].shape == (60, 80, 3)
    wide = write_video(tmp_path / "wide.mkv", panning(6), aspect=Fraction(4, 3))
    assert taken(wide, tmp_path / "out", count=1)[1][0].shape == (120, 213, 3)


def test_a_video_that_is_cut_off(tmp_path: Path) -> None:
    """With the index in front, what is there can be read; with the index behind, nothing can."""
    front = write_video(tmp_path / "front.mp4", panning(60), options={"crf": "12", "g": "5"}, container_options={"movflags": "faststart"})
    behind = write_video(tmp_path / "behind.mp4", panning(60))
    for video in (front, behind):
        video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    report, pictures = taken(front, tmp_path / "out", count=12)
    assert 2 < len(pictures) <= 12 and report.cut_off and "cut off or damaged" in report.text()
    with pytest.raises(UserError, match=r"behind\.mp4 is no video, or its beginning or end is missing"):
        extract_frames(behind, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_damage_in_the_middle(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", panning(60), options={"crf": "12", "g": "5"})
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    video.write_bytes(data)
    assert len(taken(video, tmp_path / "out", count=12)[1]) >= 9


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def without_frames(path: Path) -> bytes:
    """A video whose recording ended before its first frame."""
    whole = write_video(path, panning(2), "mpeg4").read_bytes()
    return whole[: whole.index(b"movi") + 4]


def test_what_is_no_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.mp4").write_text("not a video at all\n" * 50)
    (tmp_path / "empty.mp4").touch()
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    whole = write_video(tmp_path / "head.mkv", panning(1), "ffv1", "yuv444p").read_bytes()
    (tmp_path / "head.mkv").write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75")])  # the header without any cluster
    (tmp_path / "none.avi").write_bytes(without_frames(tmp_path / "whole.avi"))
    sound(tmp_path / "sound.wav")
    for name, words in (("text.mp4", "is no video"), ("empty.mp4", "is no video"), ("head.mkv", "is no video"),
                        ("photo.jpg", "is an image"), ("nothing.mp4", "not exist"), (".", "is a folder"),
                        ("sound.wav", "holds no moving images, only audio"), ("none.avi", "holds no frames")):
        assert run(["frames", str(tmp_path / name), str(tmp_path / "out")]) == 1
        message = capsys.readouterr().err
        assert words in message and "Traceback" not in message, message
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"rate": -1.0}, {"size": 99_999}], ids=str)
def test_settings_out_of_range(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))} is"):
        extract_frames(tmp_path / "a.mp4", tmp_path / "out", FrameOptions(**wrong))  # type: ignore[arg-type]


def test_cancelled_the_folder_is_as_it_was(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", panning(30))
    taken(video, tmp_path / "out", count=3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def stop(step: Step) -> None:
        if step.name == TAKE and step.done == 20:
            raise KeyboardInterrupt

    for folder in ("out", "fresh"):
        with pytest.raises(KeyboardInterrupt):
            extract_frames(video, tmp_path / folder, FrameOptions(count=10), stop)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before and not (tmp_path / "fresh").exists()


def test_progress_and_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_video(tmp_path / "a.mp4", panning(20))
    steps: list[Step] = []
    extract_frames(video, tmp_path / "out", FrameOptions(count=4), steps.append)
    assert {step.name for step in steps} == {LOOK, TAKE}
    assert [step.done for step in steps if step.name == TAKE] == list(range(1, 21)) and steps[-1].total == 20
    shutil.rmtree(tmp_path / "out")
    assert run(["frames", str(video), str(tmp_path / "out"), "--count", "5"]) == 0
    assert "5 frames of 160 x 120 pixels, the sharpest of 20 in" in capsys.readouterr().out
    other = write_video(tmp_path / "b.mp4", panning(20))
    assert run(["frames", str(other), str(tmp_path / "out"), "--count", "2"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 7, "another video's pictures lie beside them"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    video = write_video(tmp_path / "a.mp4", panning(6))
    monkeypatch.setattr("PIL.Image.Image.save", full)
    with pytest.raises(UserError, match="disk is full"):
        extract_frames(video, tmp_path / "out")
    assert not (tmp_path / "out").exists()
