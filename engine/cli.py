"""The command line: one subcommand a verb. Every command is a shell over the functions that Blender uses too."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .client import LocalEngine
from .core.config import TrainConfig
from .core.errors import UserError
from .core.events import Failed, Finished
from .core.files import make_folder
from .core.gaussians import Gaussians
from .core.job import JobFolder, JobSpec
from .terminal import follow, print_error, print_findings

Axes = Literal["SUPERSPLAT", "BLENDER"]
Config = Annotated[TrainConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]
Positional = tyro.conf.Positional

app = tyro.extras.SubcommandApp()


@app.command
def train(
    dataset: Positional[Path],
    config: Config = TrainConfig(),  # noqa: B008 (a frozen default)
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("scene.ply"),
    axes: Axes = "SUPERSPLAT",
    job: Path | None = None,
) -> int:
    """Train splats from posed images: a folder with transforms.json or a COLMAP model. Ctrl+C stops and keeps the result.

    Args:
        dataset: folder with the images and their cameras
        output: where the splats go
        axes: orientation of the file: SuperSplat's (Y down, as trainers write) or Blender's own (Z up)
        job: the training's own folder; default: beside the output. Naming an existing one goes on with it,
            past its end when --max-steps is larger now
    """
    refuse_other_than_ply(output)
    make_folder(output.parent)
    folder = JobFolder((job or output.with_suffix(".job")).resolve())
    engine = LocalEngine(folder.path.parent)
    cursor = engine.events(folder.name)[1]
    start(engine, folder, JobSpec(dataset.resolve(), config.validate(), output.stem))
    last = follow(engine, folder.name, cursor)
    if isinstance(last, Finished):
        save_as(folder.result, output, axes)
        print(json.dumps({"output": str(output), "psnr": last.psnr, "ssim": last.ssim, "gaussians": last.gaussians,
                          "steps": last.step, "seconds": last.seconds}))
        return 0
    if isinstance(last, Failed):
        raise UserError(last.message, last.hint)
    raise UserError("The engine stopped before the end.", f"Run the same command again to go on; its log is {folder.log}.")


def start(engine: LocalEngine, folder: JobFolder, spec: JobSpec) -> None:
    """Begin the job, or go on with it when its folder is there already."""
    if (folder.path / "job.json").exists():
        if engine.state(folder.name).alive:
            raise UserError(f"{folder.path} is being trained already.", "Wait for it, or name another --job folder.")
        before = folder.read_spec()
        if before.dataset != spec.dataset:
            raise UserError(f"{folder.path} holds a training of {before.dataset}.", "Name another --job folder, or delete this one.")
        if steps_done(engine, folder.name) >= spec.config.max_steps:
            raise UserError(f"{folder.path} is trained to its end.",
                            f"Give more than --max-steps {before.config.max_steps} to go on, or delete the folder to begin anew.")
        spec = replace(spec, config=replace(before.config, max_steps=spec.config.max_steps))
    folder.write_spec(spec)
    engine.resume(folder.name)


def steps_done(engine: LocalEngine, job: str) -> int:
    """Steps of the last finished run of a job; 0 when it never finished."""
    return max((event.step for event in engine.events(job)[0] if isinstance(event, Finished)), default=0)


@app.command
def check(
    dataset: Positional[Path],
    config: Config = TrainConfig(),  # noqa: B008 (a frozen default)
    sheet: Path | None = None,
) -> int:
    """Look for trouble in a dataset before any time is spent on it. Exit status 1 when training would be pointless.

    Args:
        dataset: folder with the images and their cameras
        sheet: where a PNG of all images with the findings marked goes
    """
    from .core.png import write_png
    from .core.sources import read_dataset
    from .preflight import check as look_for_trouble
    from .preflight.budget import needs

    found = read_dataset(dataset)
    checked = look_for_trouble(found, config=config.validate())
    points = len(found.points) if found.points else 0
    print(f"{len(found.train_views)} views to train on, {len(found.eval_views)} held out, {points} start points")
    print(needs(found, config).sentence)
    print_findings(list(checked.findings))
    if sheet:
        write_png(sheet, checked.sheet())
        print(f"contact sheet written to {sheet}")
    return 1 if checked.pointless else 0


@app.command
def convert(source: Positional[Path], output: Positional[Path], axes: Axes = "SUPERSPLAT") -> int:
    """Write a splat file anew: repaired, in the properties that every viewer reads, in the chosen axes.

    Args:
        source: a splat PLY
        output: where the copy goes
        axes: orientation of the copy
    """
    refuse_other_than_ply(output)
    gaussians = save_as(source, output, axes)
    print(f"{len(gaussians)} Gaussians written to {output}")
    return 0


@app.command
def evaluate(scene: Positional[Path], dataset: Positional[Path], resolution: int = TrainConfig.resolution) -> int:
    """Measure a splat file on the held-out views of a dataset.

    Args:
        scene: a splat PLY
        dataset: folder with the images and their cameras
        resolution: longest image side in pixels
    """
    from .views import held_out_targets, score_views

    scores = score_views(scene, held_out_targets(dataset, resolution))
    for name, score in scores.items():
        print(f"{name:40} PSNR {score.psnr:6.2f} dB   SSIM {score.ssim:.4f}")
    psnr, ssim = (sum(getattr(s, k) for s in scores.values()) / len(scores) for k in ("psnr", "ssim"))
    print(json.dumps({"psnr": round(psnr, 3), "ssim": round(ssim, 4), "views": len(scores), "held_out": True}))
    return 0


@app.command
def render(
    scene: Positional[Path],
    dataset: Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("renders"),
    resolution: int = TrainConfig.resolution,
    all_views: bool = False,
) -> int:
    """Render a splat file through the cameras of a dataset.

    Args:
        scene: a splat PLY
        dataset: folder with the cameras
        output: folder for the pictures
        resolution: longest image side in pixels
        all_views: every camera, not only the held-out ones
    """
    from .views import render_views

    written = render_views(scene, dataset, make_folder(output), resolution, all_views)
    print(f"{len(written)} pictures written to {output}")
    return 0


def refuse_other_than_ply(path: Path) -> None:
    """UserError unless the path ends in .ply."""
    if path.suffix.lower() != ".ply":
        raise UserError(f"{path} does not end in .ply.", "Give the output a name that ends in .ply.")


def save_as(source: Path, output: Path, axes: Axes) -> Gaussians:
    """Copy a splat file in the chosen axes."""
    from .core.ply import read_ply, write_ply

    gaussians = read_ply(source).gaussians
    write_ply(output, gaussians, axes=axes)
    return gaussians


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        return app.cli(args=arguments, prog="splatwright", description="Trains 3D Gaussian splats.") or 0
    except UserError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
