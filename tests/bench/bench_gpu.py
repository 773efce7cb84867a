"""Our trainer against gsplat's example trainer on one graphics card, in one run: `make bench-gpu`.

Both get the same photos, split, number of steps and resolution. Time is that of the training loop alone, without reading photos
and measuring quality. Printed for each scene: our time to the peer's final PSNR, final PSNR and SSIM, Gaussians, peak memory.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.config import PRESETS, TrainConfig
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training.backend import Target
from engine.training.cuda.quality import quality
from engine.training.cuda.residency import DevicePhotos, ground_truth
from engine.training.data.targets import load_targets
from engine.training.engines import choose_backend, create_model
from engine.training.evaluate import evaluate
from engine.training.group import SOLO
from engine.training.run import MakeModel, Run, close, prepare
from engine.training.schedule import sh_degree_at
from engine.training.trainer import learn, refine
from tests.bench.peer import Peer, PeerDefaults, Rasterization, shortened
from tests.data import DATA

ROOT = Path(__file__).resolve().parents[2]
SCENES = {
    "sample": (ROOT / "out" / "sample", "python -m demo.capture sample out/sample"),
    "thicket": (ROOT / "out" / "thicket", "python -m demo.capture thicket out/thicket"),
    "snowmiku": (DATA / "snowmiku", ""),
}
"""Where the scenes lie, and the command that makes one."""

GUIDES = {"alpha_weight": 0.1, "depth_weight": 0.1, "normal_weight": 0.05}
"""Weights of what Blender's passes teach."""


@dataclass(frozen=True)
class Bench:
    """What the two trainers run on: gsplat on a card, or in tests tensors of the processor."""

    device: torch.device
    make_model: MakeModel
    rasterization: Rasterization
    strategy: Callable[[], Any]


@dataclass(frozen=True)
class Point:
    """Quality after so many seconds and steps of training."""

    seconds: float
    step: int
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Curve:
    """One training: quality on held-out views over time."""

    points: tuple[Point, ...]
    gaussians: int
    peak_gigabytes: float

    @property
    def last(self) -> Point:
        return self.points[-1]

    def seconds_to(self, psnr: float) -> float | None:
        """Seconds until the quality is reached, between measurements on a straight line; None when it never is."""
        before = Point(0.0, 0, 0.0, 0.0)
        for point in self.points:
            if point.psnr >= psnr:
                share = (psnr - before.psnr) / max(1e-9, point.psnr - before.psnr)
                return before.seconds + share * (point.seconds - before.seconds)
            before = point
        return None


def card() -> Bench:
    """gsplat on the graphics card."""
    import gsplat

    return Bench(torch.device("cuda"), create_model, gsplat.rasterization, gsplat.DefaultStrategy)


class Stopwatch:
    """Seconds of training and the largest memory that it took. Waits for the device when it is read."""

    def __init__(self, device: torch.device):
        self._device = device
        self.seconds = 0.0
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def run(self, work: Callable[[], object]) -> None:
        """Time some work to its end on the device."""
        self._wait()
        start = time.perf_counter()
        work()
        self._wait()
        self.seconds += time.perf_counter() - start

    def peak_gigabytes(self) -> float:
        """Of the device's memory."""
        return torch.cuda.max_memory_allocated() / 1e9 if self._device.type == "cuda" else 0.0

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


def stretches(steps: int, measures: int) -> Iterable[range]:
    """The steps in parts, quality being measured after each."""
    borders = np.linspace(0, steps, measures + 1).astype(int)
    return [range(first, last) for first, last in pairwise(borders) if last > first]


def train_peer(bench: Bench, dataset: Dataset, resolution: int, steps: int, measures: int) -> Curve:
    """gsplat's recipe."""
    settings = PeerDefaults().at_length(steps)
    strategy = shortened(bench.strategy(), steps / PeerDefaults.max_steps)
    photos = [pyramid.full for pyramid in load_targets(dataset.train_views, resolution)]
    held_out = [pyramid.full for pyramid in load_targets(dataset.eval_views, resolution)]
    watch = Stopwatch(bench.device)
    peer = Peer(dataset, photos, settings, bench.rasterization, strategy, bench.device)
    points = []
    for part in stretches(steps, measures):
        watch.run(lambda part=part: [peer.step(number) for number in part])
        points.append(Point(watch.seconds, part.stop, *measured_peer(peer, held_out, bench.device)))
    return Curve(tuple(points), len(peer), watch.peak_gigabytes())


def measured_peer(peer: Peer, held_out: list[Target], device: torch.device) -> tuple[float, float]:
    """PSNR and SSIM on held-out views, by the same functions as ours."""
    black, shown = torch.zeros(3, device=device), DevicePhotos(device, 0)
    scores = [quality(peer.render(target.camera), ground_truth(shown.get(replace(target, view=-1)), black).image) for target in held_out]
    shown.close()
    return float(np.mean([psnr for psnr, _ in scores])), float(np.mean([ssim for _, ssim in scores]))


def train_ours(bench: Bench, dataset: Dataset, config: TrainConfig, measures: int) -> Curve:
    """Our trainer's own loop on a job of its own."""
    with tempfile.TemporaryDirectory() as folder:
        job = JobFolder(Path(folder))
        job.write_spec(JobSpec(dataset.folder, config))
        watch = Stopwatch(bench.device)
        run = prepare(job, lambda event: None, SOLO, bench.make_model)
        try:
            points = []
            for part in stretches(config.max_steps, measures):
                watch.run(lambda part=part: [one_step(run) for _ in part])
                score = evaluate(run.model, run.held_out.each(), sh_degree_at(run.step, config))
                assert score is not None, "the scene holds views out"
                points.append(Point(watch.seconds, run.step, score.psnr, score.ssim))
            run.progress.settle()
            return Curve(tuple(points), run.model.count, watch.peak_gigabytes())
        finally:
            close(run)


def one_step(run: Run) -> None:
    """What the trainer does for a photo."""
    loss = learn(run)
    refine(run)
    run.step += run.stride
    run.progress.count(run.step, loss)


def compare(bench: Bench, dataset: Dataset, config: TrainConfig, measures: int) -> dict[str, object]:
    """Both trainers on one scene, as one flat line of figures."""
    peer = train_peer(bench, dataset, config.resolution, config.max_steps, measures)
    ours = train_ours(bench, dataset, config, measures)
    reached = ours.seconds_to(peer.last.psnr)
    return {
        "peer_seconds": peer.last.seconds, "our_seconds_to_its_psnr": reached, "our_seconds": ours.last.seconds,
        "time_ratio": None if reached is None else reached / peer.last.seconds,
        "peer_psnr": peer.last.psnr, "our_psnr": ours.last.psnr, "peer_ssim": peer.last.ssim, "our_ssim": ours.last.ssim,
        "peer_gaussians": peer.gaussians, "our_gaussians": ours.gaussians,
        "peer_gigabytes": peer.peak_gigabytes, "our_gigabytes": ours.peak_gigabytes,
        "peer_curve": [asdict(point) for point in peer.points], "our_curve": [asdict(point) for point in ours.points],
    }


def gain_of_guides(bench: Bench, dataset: Dataset, config: TrainConfig, measures: int) -> dict[str, float]:
    """PSNR that transparency, depth and normals from Blender's passes add in the same time as images alone.

    A guided step takes longer, so the guided training gets fewer of them, with its whole schedule in that time.
    """
    guides = replace(config, **GUIDES)
    plain, slow = (train_ours(bench, dataset, each, measures) for each in (config, guides))
    steps = round(config.max_steps * min(1.0, plain.last.seconds / slow.last.seconds))
    guided = train_ours(bench, dataset, replace(guides, max_steps=max(1, steps)), measures)
    return {"seconds": plain.last.seconds, "guided_seconds": guided.last.seconds, "guided_steps": guided.last.step,
            "images_alone": plain.last.psnr, "guided": guided.last.psnr, "gain": guided.last.psnr - plain.last.psnr}


def has_guides(dataset: Dataset) -> bool:
    """Whether Blender's passes lie beside the photos."""
    return any(view.depth for view in dataset.views) and any(view.normals for view in dataset.views)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", nargs="*", default=list(SCENES), help="names, or folders of datasets")
    parser.add_argument("--preset", choices=PRESETS, default="gpu-preview", help="our settings, one for all scenes")
    parser.add_argument("--steps", type=int, help="of both, in place of the preset's")
    parser.add_argument("--resolution", type=int, help="of both, in place of the preset's")
    parser.add_argument("--max-gaussians", type=int, help="our cap, in place of the preset's; the peer has none")
    parser.add_argument("--measures", type=int, default=20, help="how often quality is measured")
    parser.add_argument("--guides", action="store_true", help="also the gain by depth, normals and transparency")
    parser.add_argument("--output", type=Path, help="file for all figures, as JSON")
    return parser.parse_args(arguments)


def settings_of(options: argparse.Namespace) -> TrainConfig:
    """Our settings: a preset, and what the command line puts in its place."""
    asked = {"max_steps": options.steps, "resolution": options.resolution, "max_gaussians": options.max_gaussians}
    changes = {name: value for name, value in asked.items() if value is not None}
    return TrainConfig(**{**PRESETS[options.preset].settings, **changes, "backend": "cuda"}).validate()


def show(name: str, line: dict[str, Any]) -> None:
    """One scene in words."""
    reached, ratio = line["our_seconds_to_its_psnr"], line["time_ratio"]
    print(f"{name}: peer {line['peer_psnr']:.2f} dB, SSIM {line['peer_ssim']:.4f}, {line['peer_gaussians']:,} Gaussians, "
          f"{line['peer_gigabytes']:.1f} GB in {line['peer_seconds']:.1f} s")
    print(f"{' ' * len(name)}  ours {line['our_psnr']:.2f} dB, SSIM {line['our_ssim']:.4f}, {line['our_gaussians']:,} Gaussians, "
          f"{line['our_gigabytes']:.1f} GB in {line['our_seconds']:.1f} s")
    print(f"{' ' * len(name)}  to the peer's PSNR: "
          + ("not reached" if reached is None else f"{reached:.1f} s, {ratio:.2f} of its time"), flush=True)


def main() -> int:
    """Run all scenes that are there."""
    options = parse()
    config = settings_of(options)
    try:
        choose_backend(config)
    except UserError as error:
        print(f"No benchmark without a graphics card. {error.message}", file=sys.stderr)
        return 1
    bench, figures = card(), {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "settings": asdict(config)}
    for name in options.scenes:
        path, command = SCENES.get(name, (Path(name), ""))
        if not path.is_dir():
            print(f"{name}: left out, {path} is missing" + (f"; {command} makes it" if command else ""))
            continue
        dataset = read_dataset(path)
        figures[name] = compare(bench, dataset, config, options.measures)
        show(name, figures[name])
        if options.guides and has_guides(dataset):
            figures[f"{name} guided"] = gain_of_guides(bench, dataset, config, options.measures)
            print(f"{name}: depth, normals and transparency gain {figures[f'{name} guided']['gain']:+.2f} dB in the same time")
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
