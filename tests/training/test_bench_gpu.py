"""The GPU benchmark's own parts, run on CPU tensors with the reference in gsplat's place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.protocol.config import TrainConfig
from engine.training.engines import BackendChoice
from tests.scenes import colored_ball, write_ball_dataset

torch = pytest.importorskip("torch")
gsplat = pytest.importorskip("gsplat")

from tests.bench.bench_gpu import Bench, Curve, Point, compare, gain_of_guides, has_guides, parse, settings_of, show, stretches  # noqa: E402
from tests.bench.peer import PeerDefaults, scene_scale, shortened  # noqa: E402
from tests.bench.step_profile import look  # noqa: E402
from tests.training import reference  # noqa: E402
from tests.training.cuda.torch_models import CPU, torch_model  # noqa: E402
from tests.training.cuda.torch_rasterizer import footprint  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_ball_dataset(tmp_path_factory.mktemp("data"), views=9, size=24).folder)


def rasterization(means: Any, quats: Any, scales: Any, opacities: Any, colors: Any, viewmats: Any, Ks: Any, width: int, height: int,
                  sh_degree: int, **_: Any) -> tuple[Any, Any, dict[str, Any]]:
    """The reference, called like gsplat."""
    (fl_x, _, cx), (_, fl_y, cy), _ = Ks[0].tolist()
    parameters = {"means": means, "quats": quats, "scales": scales.log(), "opacities": opacities.logit(), "sh0": colors[:, :1],
                  "shN": colors[:, 1:]}
    camera = Camera(width, height, fl_x, fl_y, cx, cy, np.eye(4))
    frame = reference.render(parameters, camera, sh_degree, torch.zeros(3), viewmat=viewmats[0])
    radii = torch.zeros(1, len(means), 2)
    radii[0, frame.rows] = footprint(frame).radius[:, None]
    info = {"means2d": frame.projected, "radii": radii, "width": width, "height": height, "n_cameras": 1, "gaussian_ids": None}
    return frame.rgb.permute(1, 2, 0)[None], (1 - frame.transmittance)[None, ..., None], info


def test_both_trainers_learn_and_are_compared(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("engine.training.run.choose_backend", lambda config, tick: BackendChoice("cuda", "On tensors."))
    sizes: list[int] = []

    class Watched(gsplat.DefaultStrategy):
        def step_post_backward(self, params: Any, *arguments: Any, **options: Any) -> None:
            super().step_post_backward(params, *arguments, **options)
            sizes.append(len(params["means"]))

    def strategy() -> Watched:
        return Watched(refine_start_iter=5000, refine_stop_iter=20_000, refine_every=8000, reset_every=10**7, grow_grad2d=4e-4)

    bench = Bench(CPU, torch_model, rasterization, strategy)
    line = compare(bench, dataset, TrainConfig(max_steps=60, resolution=24, max_gaussians=500, sh_degree=1, background="black"), 3)
    assert line["peer_psnr"] > 13 and line["our_psnr"] > 15
    assert len(sizes) == 60 and max(sizes) > sizes[0] == 400
    assert line["peer_gaussians"] == sizes[-1] and line["our_gaussians"] <= 500
    assert [point["step"] for point in line["our_curve"]] == [20, 40, 60] == [point["step"] for point in line["peer_curve"]]
    assert line["our_seconds"] > 0 and line["peer_seconds"] > 0
    show("ball", line)
    assert "peer's PSNR" in capsys.readouterr().out


def test_a_profile_tells_operations_and_waits(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.run.choose_backend", lambda config, tick: BackendChoice("cuda", "On tensors."))
    monkeypatch.setattr("tests.bench.step_profile.LOOKED_AT", 5)
    found = look(TrainConfig(max_steps=90, resolution=24, max_gaussians=500, sh_degree=1), dataset.folder, 5, torch_model)
    assert found.steps_per_second > 0 and found.gaussians == 400
    assert "aten::" in found.table and found.waits > 0  # the reference looks at values


def with_guides(dataset: Dataset, folder: Path) -> Dataset:
    """Depth and normals of the ball beside its photos, as Blender's passes would be."""
    views, model = [], torch_model(colored_ball())
    for view in dataset.views:
        camera = view.camera
        seen = model.render(camera, 0, (0.0, 0.0, 0.0))
        y, x = np.mgrid[: camera.height, : camera.width] + 0.5 - np.array([camera.cy, camera.cx])[:, None, None]
        depth = np.where(seen.alpha > 0.9, seen.depth, 0.0).astype(np.float32)
        local = np.stack([x / camera.fl_x, y / camera.fl_y, np.ones_like(x)], axis=2) * depth[..., None]
        normals = (local @ camera.viewmat[:3, :3] + camera.position).astype(np.float32)  # of the ball around the origin
        normals = np.where(depth[..., None] > 0, normals / np.linalg.norm(normals, axis=2, keepdims=True), 0.0).astype(np.float32)
        paths = [folder / f"{view.image.stem}_{kind}.npy" for kind in ("depth", "normals")]
        for path, array in zip(paths, (1000 * depth, normals), strict=True):
            np.save(path, array)
        views.append(replace(view, depth=paths[0], normals=paths[1]))
    guided = replace(dataset, views=tuple(views))
    write_transforms(guided)
    return guided


def test_the_gain_of_guides_is_measured_in_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.run.choose_backend", lambda config, tick: BackendChoice("cuda", "On tensors."))
    plain = write_ball_dataset(tmp_path / "data", views=6, size=24)
    dataset = with_guides(plain, plain.folder)
    assert has_guides(dataset) and not has_guides(plain)
    bench = Bench(CPU, torch_model, rasterization, gsplat.DefaultStrategy)
    found = gain_of_guides(bench, dataset, TrainConfig(max_steps=40, resolution=24, max_gaussians=400, sh_degree=0), 4)
    assert found["guided"] - found["images_alone"] == found["gain"] and min(found["guided"], found["images_alone"]) > 10
    assert 0 < found["guided_steps"] <= 40 and found["seconds"] > 0


def test_time_to_a_quality_lies_between_measurements() -> None:
    curve = Curve((Point(10.0, 1, 20.0, 0.5), Point(20.0, 2, 30.0, 0.6)), 1, 0.0)
    assert curve.seconds_to(25.0) == pytest.approx(15.0)
    assert curve.seconds_to(20.0) == pytest.approx(10.0)
    assert curve.seconds_to(30.1) is None


def test_the_recipe_at_another_length() -> None:
    assert PeerDefaults().at_length(3000).sh_degree_interval == 100
    strategy = shortened(gsplat.DefaultStrategy(), 0.1)
    assert (strategy.refine_start_iter, strategy.refine_stop_iter, strategy.reset_every, strategy.refine_every) == (50, 1500, 300, 10)
    assert [part.stop for part in stretches(10, 3)] == [3, 6, 10]


def test_scene_scale_is_the_peers(dataset: Dataset) -> None:
    cameras = [view.camera for view in dataset.views]
    positions = np.stack([camera.position for camera in cameras])
    assert scene_scale(cameras) == pytest.approx(1.1 * max(np.linalg.norm(positions - positions.mean(0), axis=1)))


def test_the_command_line_parses_and_says_why_it_cannot_run() -> None:
    config = settings_of(parse(["--preset", "standard", "--steps", "100", "--scenes", "demo", "--guides"]))
    assert config.max_steps == 100 and config.backend == "cuda" and config.max_gaussians == 1_000_000
    if torch.cuda.is_available():
        pytest.skip("a graphics card is here: the benchmark would run")
    done = subprocess.run([sys.executable, "-m", "tests.bench.bench_gpu"], capture_output=True, text=True, timeout=100,
                          cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == 1 and "NVIDIA" in done.stderr and "Traceback" not in done.stderr
