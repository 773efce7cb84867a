"""Recipes of trainings beside each other on the scenes made for that: an interior, an object, foliage.

`make sweep` renders the scenes when they are missing, trains each recipe three times on each, and prints mean and spread of the quality on
held-out views beside the processor seconds of the steps. Recipes are chosen by these scenes alone; others are for reporting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from engine.core.protocol.config import PRESETS, TrainConfig
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training.engines import create_model
from engine.training.evaluate import evaluate
from engine.training.group import SOLO
from engine.training.run import close, prepare
from engine.training.trainer import learn, refine

ROOT = Path(__file__).resolve().parents[2]
SCENES = ("interior", "object", "foliage")
Row = tuple[float, float, float, int]
"""PSNR in dB, SSIM, processor seconds of the steps, Gaussians."""


def captured(name: str) -> Path:
    """The dataset of one of the scenes, rendered once."""
    folder = ROOT / "out" / name
    if not (folder / "transforms.json").exists():
        subprocess.run([sys.executable, "-m", "demo.capture", name, str(folder)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder


def trained(data: Path, config: TrainConfig) -> Row:
    """Train as the trainer does, on one thread, without writing anything."""
    with tempfile.TemporaryDirectory(prefix="splatwright-sweep-") as folder:
        job = JobFolder(Path(folder) / "job")
        job.write_spec(JobSpec(data, config))
        run = prepare(job, lambda event: None, SOLO, create_model)
        begin = time.process_time()
        while run.step < run.config.max_steps:
            learn(run)
            refine(run)
            run.step += 1
        seconds = time.process_time() - begin
        score = evaluate(run.model, run.held_out.each(), run.config.sh_degree)
        assert score
        found = (score.psnr, score.ssim, seconds, run.model.count)
        close(run)
    return found


def configured(preset: str, changes: dict[str, Any], seed: int) -> TrainConfig:
    """The preset with a recipe's changes, on one thread of the built-in engine."""
    settings = PRESETS[preset].settings | changes | {"backend": "cpu", "threads": 1, "seed": seed}
    return TrainConfig(**settings).validate()


def parsed(recipe: str) -> dict[str, Any]:
    """`lr_means=1e-3 max_steps=500` as settings."""
    pairs = (pair.partition("=") for pair in recipe.split())
    return {name: value if isinstance(getattr(TrainConfig, name), str) else json.loads(value.lower()) for name, _, value in pairs}


def compare(preset: str, recipes: list[str], seeds: int, scenes: list[str]) -> None:
    """Print a line for each scene and recipe, and the mean over the scenes."""
    for recipe in recipes:
        means = []
        for scene in scenes:
            data = captured(scene) if scene in SCENES else Path(scene)
            rows = [trained(data, configured(preset, parsed(recipe), seed)) for seed in range(seeds)]
            print(line(data.name, rows, recipe), flush=True)
            means.append(tuple(mean(column) for column in zip(*rows, strict=True)))
        psnr, ssim, seconds, count = (mean(column) for column in zip(*means, strict=True))
        print(f"{'mean':10} {psnr:6.2f}        {ssim:.4f}          {seconds:7.1f} {count:8.0f}  {recipe or 'as it is'}", flush=True)


def line(scene: str, rows: list[Row], recipe: str) -> str:
    """Mean and spread of PSNR and SSIM, means of seconds and Gaussians."""
    psnr, ssim, seconds, counts = zip(*rows, strict=True)
    return (f"{scene:10} {mean(psnr):6.2f} ± {pstdev(psnr):.2f} {mean(ssim):.4f} ± {pstdev(ssim):.4f} {mean(seconds):7.1f} "
            f"{mean(counts):8.0f}  {recipe or 'as it is'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=[""], help="settings beside those of the preset, as 'name=value name=value'")
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scenes", nargs="*", default=list(SCENES))
    options = parser.parse_args()
    compare(options.preset, options.recipes, options.seeds, options.scenes)
