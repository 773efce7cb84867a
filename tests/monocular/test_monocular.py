"""Depth models from files: real ones, small, that the tests make."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.instant import instant
from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.splats.from_depth import gaussians_from_depth
from engine.core.splats.gaussians import sh0_to_rgb
from engine.monocular import depth_of, load_depth_model, photo_camera, resampled, told_field_of_view


def write_onnx(path: Path, height: int | str = "height", width: int | str = "width", shape: str = "depth") -> Path:
    """A network that answers with the mean of the colours, smoothed over 3 x 3 pixels: brighter is nearer."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.full((1, 3, 3, 3), 1 / 27, np.float32), "weights")
    nodes = [helper.make_node("Conv", ["image", "weights"], ["map"], pads=[1, 1, 1, 1])]
    if shape == "depth":
        nodes.append(helper.make_node("Squeeze", ["map", "axis"], ["depth"]))
        answer, kept = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, height, width]), [weights]
        kept.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    else:
        nodes.append(helper.make_node("GlobalAveragePool", ["map"], ["depth"]))
        answer, kept = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, 1, 1]), [weights]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])
    graph = helper.make_graph(nodes, "brightness", [image], [answer], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def write_torchscript(path: Path) -> Path:
    torch = pytest.importorskip("torch")

    class Brightness(torch.nn.Module):
        def forward(self, image):
            return image.mean(dim=1, keepdim=True)

    torch.jit.trace(Brightness(), torch.zeros(1, 3, 28, 28)).save(str(path))
    return path


def gradient(height: int = 60, width: int = 90) -> np.ndarray:
    """Dark on the left, bright on the right."""
    return np.repeat(np.linspace(20, 240, width)[None, :, None], height, axis=0).repeat(3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [("height", "width"), (28, 42)])
def test_a_model_in_onnx(tmp_path: Path, size: tuple[int | str, int | str]) -> None:
    model = load_depth_model(write_onnx(tmp_path / "tiefe 深.onnx", *size))
    answer = model(gradient())
    assert answer.shape == (60, 90) and answer.dtype == np.float32
    assert (np.diff(answer[30, 4:-4]) > 0).all(), "brighter is larger"


def test_a_model_in_torchscript(tmp_path: Path) -> None:
    answer = load_depth_model(write_torchscript(tmp_path / "model.pt"))(gradient())
    assert answer.shape == (60, 90) and (np.diff(answer[30, 4:-4]) > 0).all()


def test_models_that_are_none(tmp_path: Path) -> None:
    for name in ("broken.onnx", "broken.pt"):
        (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(UserError, match="cannot be loaded"):
            load_depth_model(tmp_path / name)
    with pytest.raises(UserError, match="does not exist"):
        load_depth_model(tmp_path / "gone.onnx")
    with pytest.raises(UserError, match="by its name"):
        load_depth_model(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="not with one depth a pixel"):
        load_depth_model(write_onnx(tmp_path / "wrong.onnx", shape="mean"))(gradient())


def test_depth_without_unit_is_spread_between_near_and_far() -> None:
    answer = np.linspace(-3, 9, 1000).reshape(20, 50).astype(np.float32)
    depth = depth_of(answer, "inverse", 2.0, 10.0)
    assert depth.min() == pytest.approx(2) and depth.max() == pytest.approx(10) and depth[0, 0] > depth[-1, -1]
    middle = np.diff(1 / depth.ravel()[100:900])
    assert np.allclose(middle, middle.mean(), rtol=1e-2), "even steps of the answer are even steps of the inverse"
    assert np.array_equal(depth_of(answer, "metres"), answer)
    with pytest.raises(UserError, match="no depth in this image"):
        depth_of(np.ones((4, 4), np.float32), "inverse")


def test_a_camera_looks_along_y_and_splats_stand_before_it() -> None:
    camera = photo_camera(90, 60, math.radians(60))
    found = gaussians_from_depth(camera, np.full((60, 90), 2.0), gradient() / 255)
    assert np.allclose(found.means[:, 1], 2, atol=1e-5)
    assert np.ptp(found.means[:, 0]) == pytest.approx(4 * math.tan(math.radians(30)), rel=0.02)
    assert found.means[0, 2] > 0 > found.means[-1, 2], "the top row is above"


def test_the_field_of_view_that_a_photo_tells(tmp_path: Path) -> None:
    told = Image.Exif()
    told.get_ifd(0x8769)[0xA405] = 18
    Image.new("RGB", (30, 20)).save(tmp_path / "wide.jpg", exif=told)
    Image.new("RGB", (30, 20)).save(tmp_path / "silent.jpg")
    assert told_field_of_view(tmp_path / "wide.jpg") == pytest.approx(math.pi / 2)
    assert told_field_of_view(tmp_path / "silent.jpg") is None


def test_resampling_keeps_a_slope() -> None:
    slope = np.linspace(0, 1, 40, dtype=np.float32)[None, :, None].repeat(10, axis=0)
    grown, shrunk = resampled(slope, 100, 30), resampled(slope, 10, 5)
    assert grown.shape == (30, 100, 1) and shrunk.shape == (5, 10, 1)
    assert np.allclose(np.diff(grown[3, 5:-5, 0]), 0.4 / 39, atol=1e-5) and np.allclose(np.diff(shrunk[2, :, 0]), 4 / 39, atol=1e-5)


def test_a_photo_becomes_splats_by_a_model(tmp_path: Path) -> None:
    """The command: bright things are near, dark ones far."""
    image = np.full((60, 90, 3), 40, np.uint8)
    image[15:45, 30:60] = 230
    Image.fromarray(image).save(tmp_path / "photo.jpg", quality=98)
    assert instant(tmp_path / "photo.jpg", tmp_path / "new" / "photo.ply", write_onnx(tmp_path / "model.onnx"), near=2, far=6) == 0
    found = read_ply(tmp_path / "new" / "photo.ply").gaussians
    bright = sh0_to_rgb(found.sh0[:, 0]).mean(axis=1) > 0.7
    assert np.median(found.means[bright, 1]) == pytest.approx(2, abs=0.1)
    assert np.median(found.means[~bright, 1]) == pytest.approx(6, abs=0.3)
    assert len(found) < 5400, "the edges between them are left out"
    for wrong in ({"near": 6, "far": 2}, {"field_of_view": 200.0}, {"most": 0}):
        with pytest.raises(UserError, match="cannot be"):
            instant(tmp_path / "photo.jpg", tmp_path / "b.ply", tmp_path / "model.onnx", **wrong)
