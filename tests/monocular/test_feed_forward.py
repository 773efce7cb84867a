"""Models that give Gaussians, real ones, small, that the tests make; and other programs that do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.instant import instant
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.formats.ply import read_ply, write_ply
from engine.core.splats.gaussians import sh0_to_rgb
from engine.feed_forward import gaussians_by_command, load_gaussian_model
from engine.training.init.splat_start import read_start
from tests.scenes import colored_ball, write_ball_dataset


def write_gaussian_model(path: Path, names: tuple[str, ...] = ("depth", "scales", "opacities"), distance: float = 2.0, scale_width: int = 3,
                         intrinsics: bool = False) -> Path:
    """A network whose depth is the distance for every pixel, with round Gaussians that the image's brightness makes opaque."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    size = [1, "height", "width"]
    nodes = [helper.make_node("ReduceMean", ["image"], ["bright"], axes=[1], keepdims=0),
             helper.make_node("Mul", ["bright", "none"], ["nothing"]),
             helper.make_node("Add", ["nothing", "distance"], [names[0]]),
             helper.make_node("Unsqueeze", [names[0], "last"], ["column"]),
             helper.make_node("Concat", ["column"] * scale_width, ["wide"], axis=3),
             helper.make_node("Mul", ["wide", "small"], [names[1]]),
             helper.make_node("Mul", ["bright", "most"], [names[2]])]
    kept = [numpy_helper.from_array(np.array(value, kind), name) for name, value, kind in (
        ("none", 0, np.float32), ("distance", distance, np.float32), ("last", [3], np.int64), ("small", 0.01, np.float32),
        ("most", 0.99, np.float32))]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])]
    if intrinsics:
        inputs.append(helper.make_tensor_value_info("intrinsics", TensorProto.FLOAT, [1, 3, 3]))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size + ([scale_width] if name == names[1] else [])) for name in names]
    graph = helper.make_graph(nodes, "gaussians", inputs, outputs, kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    image = np.full((60, 90, 3), 200, np.uint8)
    image[:, :30] = [230, 30, 30]
    Image.fromarray(image).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("intrinsics", [False, True])
def test_a_model_gives_gaussians_where_the_photo_shows_them(tmp_path: Path, photo: Path, intrinsics: bool) -> None:
    model = write_gaussian_model(tmp_path / "model.onnx", intrinsics=intrinsics)
    assert instant(photo, tmp_path / "a.ply", model, field_of_view=60.0) == 0
    found = read_ply(tmp_path / "a.ply").gaussians
    assert np.allclose(found.means[:, 1], 2, atol=1e-4) and np.allclose(np.exp(found.scales), 0.02, rtol=1e-3)
    red = sh0_to_rgb(found.sh0[:, 0])[:, 1] < 0.3
    assert found.means[red, 0].max() < found.means[~red, 0].min() + 0.05, "red is on the left"
    assert np.ptp(found.means[:, 0]) == pytest.approx(4 * np.tan(np.radians(30)), rel=0.02)
    instant(photo, tmp_path / "b.ply", model, most=100)
    assert len(read_ply(tmp_path / "b.ply").gaussians) == 100


def test_models_that_are_none_are_a_sentence(tmp_path: Path, photo: Path) -> None:
    for names, words in ((("depth", "scales", "opacity"), "opacities are missing"),
                         (("where", "scales", "opacities"), "means are missing")):
        with pytest.raises(UserError, match=words):
            instant(photo, tmp_path / "a.ply", write_gaussian_model(tmp_path / "wrong.onnx", names))
    with pytest.raises(UserError, match=r"scales of shape .* not 3"):
        instant(photo, tmp_path / "a.ply", write_gaussian_model(tmp_path / "two.onnx", scale_width=2))
    with pytest.raises(UserError, match="no Gaussian before the camera"):
        instant(photo, tmp_path / "a.ply", write_gaussian_model(tmp_path / "behind.onnx", distance=-1))
    assert load_gaussian_model(tmp_path / "gone.onnx") is None


def test_gaussians_of_a_datasets_views_lie_at_its_start_points_and_start_a_training(tmp_path: Path) -> None:
    """The network's unit is another: 40 where the ball's points are about 3 to 5 away."""
    dataset = read_dataset(write_ball_dataset(tmp_path / "data").folder)
    start = tmp_path / "start.ply"
    assert instant(dataset.folder, start, write_gaussian_model(tmp_path / "model.onnx", distance=40.0), most=2000) == 0
    found = read_start(replace(dataset, start_file=start))
    assert found is not None and 500 < len(found) <= 2000
    assert np.median(np.linalg.norm(found.means, axis=1)) < 1.6


COPY = "import shutil, sys; shutil.copyfile({source!r}, sys.argv[2])"


def command(code: str) -> str:
    return f'"{sys.executable}" -c "{code}" {{image}} {{output}}'


def test_a_command_writes_the_splats(tmp_path: Path, photo: Path) -> None:
    write_ply(tmp_path / "made.ply", colored_ball(50))
    assert instant(photo, tmp_path / "a.ply", command=command(COPY.format(source=str(tmp_path / "made.ply")))) == 0
    assert np.allclose(np.sort(read_ply(tmp_path / "a.ply").gaussians.means, axis=0), np.sort(colored_ball(50).means, axis=0), atol=1e-5)


@pytest.mark.parametrize(("code", "words"), [("import sys; sys.exit('no card')", "failed with exit status 1: no card"),
                                             ("pass", "wrote no PLY"),
                                             ("import time; time.sleep(60)", "did not end within 1 seconds"),
                                             ("import sys; open(sys.argv[2], 'w').write('x')", "PLY")])
def test_a_command_that_makes_nothing_is_a_sentence(photo: Path, code: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        gaussians_by_command(command(code), photo, seconds=1 if "sleep" in code else 60)


def test_a_command_says_where_image_and_output_go(photo: Path) -> None:
    for text in ("tool", "tool {image}", "no-such-tool {image} {output}"):
        with pytest.raises(UserError):
            gaussians_by_command(text, photo)
