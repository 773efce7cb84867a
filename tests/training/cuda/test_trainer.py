"""The one trainer on the torch model: learns, goes on, changes engines, and finds a way when memory ends."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from engine.core.datasets.dataset import Dataset, PointCloud, View
from engine.core.datasets.transforms_json import write_transforms
from engine.core.errors import UserError
from engine.core.images.png import write_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Evaluated, Finding, Finished, Progress, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.core.splats.gaussians import sh0_to_rgb
from engine.training.backend import StepSettings, Target
from engine.training.checkpoint import load_checkpoint
from engine.training.engines import BackendChoice, create_model
from engine.training.trainer import train
from engine.worker import Preflight
from tests.scenes import colored_ball, ring_cameras, write_ball_dataset

torch = pytest.importorskip("torch")

from engine.training.cuda.failures import plain_errors  # noqa: E402
from engine.training.cuda.model import TorchModel  # noqa: E402
from engine.training.cuda.tensors import Drawn, Parameters, RenderRequest, TensorCamera  # noqa: E402
from tests.training.cuda import torch_rasterizer  # noqa: E402
from tests.training.cuda.torch_models import torch_model  # noqa: E402

SHORT = TrainConfig(max_steps=60, max_gaussians=150, resolution=32, sh_degree=1, eval_every=30, refine_every=10, refine_until=0.7,
                    quarter_until=0.2, half_until=0.5, checkpoint_seconds=0.1, preview_seconds=0.5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data"), views=10, size=32).folder


@pytest.fixture(autouse=True)
def on_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.run.choose_backend", lambda config, tick: BackendChoice("cuda", "Training on the graphics card."))


def make_job(folder: Path, dataset: Path, **changes: object) -> JobFolder:
    job = JobFolder(folder)
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, **changes)))
    return job


def run(job: JobFolder, control=lambda: "run", make_model=torch_model) -> list:
    events: list = []
    train(job, events.append, control, make_model=make_model, checks=Preflight())
    return events


def finished(events: list) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def interrupt_after(calls: int):
    left = iter(range(calls))

    def control() -> str:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return "run"

    return control


def test_learns_as_on_the_processor(tmp_path: Path, dataset: Path) -> None:
    mine = run(make_job(tmp_path / "torch", dataset))
    theirs = run(make_job(tmp_path / "kernels", dataset), make_model=lambda gaussians, config, *_: create_model(gaussians, config))
    assert next(event for event in mine if isinstance(event, Started)).backend == "cuda"
    assert {Progress, Evaluated} <= {type(event) for event in mine}
    assert finished(mine).gaussians == finished(theirs).gaussians == 150
    assert finished(mine).psnr == pytest.approx(finished(theirs).psnr, abs=0.5)
    assert finished(mine).psnr > 17


def test_interrupted_it_ends_the_same_and_another_engine_may_go_on(tmp_path: Path, dataset: Path) -> None:
    whole, cut, changed = (make_job(tmp_path / name, dataset) for name in ("whole", "cut", "changed"))
    run(whole)
    for job in (cut, changed):
        with pytest.raises(KeyboardInterrupt):
            run(job, interrupt_after(31))
    run(cut)
    assert whole.result.read_bytes() == cut.result.read_bytes()
    last = run(changed, make_model=lambda gaussians, config, *_: create_model(gaussians, config))
    assert 0 < next(event for event in last if isinstance(event, Started)).step < SHORT.max_steps
    assert finished(last).psnr > 17


class SmallCard(TorchModel):
    """Has no room for copies of more than `most` Gaussians, as torch says it."""

    most = 110

    def rebuild(self, source_rows: np.ndarray, reset_rows: np.ndarray) -> None:
        with plain_errors():
            out_of_memory_beyond(self.most, len(source_rows))
        super().rebuild(source_rows, reset_rows)


def out_of_memory_beyond(most: int, count: int) -> None:
    if count > most:
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {count} Gaussians")


def on_a_small_card(most: int, room: list[int] | None = None):
    """A model that draws at most so many Gaussians, or as `room` says from one drawing to the next."""
    def draw(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
        out_of_memory_beyond(room.pop(0) if room else most, len(parameters["means"]))
        return torch_rasterizer.draw(parameters, camera, request)

    def make(gaussians, config, *_):
        model = SmallCard(gaussians.take(slice(0, 100)), torch.device("cpu"), draw, antialiased=config.antialiased)
        model.most = most
        return model

    return make


def memory_warnings(events: list) -> list[Finding]:
    return [event for event in events if isinstance(event, Finding) and "memory" in event.message]


@pytest.mark.parametrize("most", [110, 90], ids=["growing", "drawing"])
@pytest.mark.parametrize("strategy", ["mcmc", "default"])
def test_memory_that_ends_in_the_middle_costs_some_gaussians_alone(tmp_path: Path, dataset: Path, most: int, strategy: str) -> None:
    job = make_job(tmp_path / "job", dataset, strategy=strategy, grow_gradient=1e-9)
    events = run(job, make_model=on_a_small_card(most))
    (warning,) = memory_warnings(events)
    assert "ran out of memory. The training goes on with" in warning.message and "max_gaussians" in warning.hint
    assert finished(events).step == SHORT.max_steps and 0 < finished(events).gaussians <= most
    assert job.read_spec().config.max_gaussians <= most, "a resume must not grow into the same wall"
    assert finished(run(job, make_model=on_a_small_card(most))).step == SHORT.max_steps


def test_memory_that_never_suffices_is_a_sentence_with_the_setting(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset)
    with pytest.raises(UserError, match="ran out of memory again, with 80 Gaussians") as caught:
        run(job, make_model=on_a_small_card(70))
    assert "max_gaussians" in caught.value.hint and "cpu" in caught.value.hint
    kept = load_checkpoint(job.checkpoint)
    assert kept is not None and len(kept.arrays["means"]) == 80


def test_memory_that_ends_twice_keeps_the_training_so_far(tmp_path: Path, dataset: Path) -> None:
    job = make_job(tmp_path / "job", dataset, checkpoint_seconds=3600.0, eval_every=1000, pause_on_failure=False, smoke_test=False)
    room = [1000] * 45
    with pytest.raises(UserError, match="again"):
        run(job, make_model=on_a_small_card(10, room))
    kept = load_checkpoint(job.checkpoint)
    assert kept is not None and 10 < kept.step < SHORT.max_steps
    events = run(job)
    assert next(event for event in events if isinstance(event, Started)).step == kept.step and finished(events).step == SHORT.max_steps


def test_a_loss_that_is_no_number_ends_it_with_the_last_good_checkpoint(tmp_path: Path, dataset: Path) -> None:
    class Breaking(TorchModel):
        def step(self, target: Target, settings: StepSettings) -> torch.Tensor:
            loss = super().step(target, settings)
            return loss * float("nan") if settings.noise_seed == 40 else loss

    def make(*arguments):
        model = torch_model(*arguments)
        model.__class__ = Breaking
        return model

    job = make_job(tmp_path / "job", dataset)
    with pytest.raises(KeyboardInterrupt):
        run(job, interrupt_after(20))
    before = (job.checkpoint / "state.npz").read_bytes()
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, checkpoint_seconds=100.0)))
    with pytest.raises(UserError, match="not a number"):
        run(job, make_model=make)
    assert (job.checkpoint / "state.npz").read_bytes() == before


class LostLoss:
    """A loss on a card that has gone."""

    def __add__(self, other: object) -> LostLoss:
        return self

    __radd__ = __mul__ = __rmul__ = __add__

    def __float__(self) -> float:
        raise RuntimeError("CUDA error: the launch timed out and was terminated\nFor debugging consider ...")


def test_a_card_that_is_lost_is_a_sentence(tmp_path: Path, dataset: Path) -> None:
    class Lost(TorchModel):
        def step(self, target: Target, settings: StepSettings) -> LostLoss:  # type: ignore[override]
            super().step(target, settings)
            return LostLoss()

    def make(*arguments):
        model = torch_model(*arguments)
        model.__class__ = Lost
        return model

    with pytest.raises(UserError, match=r"stopped working: CUDA error: the launch timed out and was terminated\.") as caught:
        run(make_job(tmp_path / "job", dataset), make_model=make)
    assert "checkpoint is kept" in caught.value.hint


def test_learns_from_orthographic_views(tmp_path: Path) -> None:
    truth, folder = colored_ball(), tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    cameras = [dataclasses.replace(camera, fl_x=10.0, fl_y=10.0, orthographic=True) for camera in ring_cameras(10, size=32)]
    views = []
    for index, camera in enumerate(cameras):
        path = folder / "images" / f"{index}.png"
        write_png(path, (torch_model(truth).render(camera, 0, (0.0, 0.0, 0.0)).rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8))
        views.append(View(path.name, path, camera, index % 5 == 0))
    colors = (sh0_to_rgb(truth.sh0[:, 0]).clip(0, 1) * 255).astype(np.uint8)
    write_transforms(Dataset(folder, tuple(views), PointCloud(truth.means, colors)))
    assert finished(run(make_job(tmp_path / "job", folder, max_gaussians=400))).psnr > 22


def test_photos_that_do_not_fit_change_nothing(tmp_path: Path, dataset: Path) -> None:
    roomy, narrow = make_job(tmp_path / "roomy", dataset), make_job(tmp_path / "narrow", dataset, image_memory=1.5e-5)
    for job in (roomy, narrow):
        run(job)
    assert roomy.result.read_bytes() == narrow.result.read_bytes()
