"""The command line: one subcommand a verb. Every command is a shell over the functions that Blender uses too."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .client import LocalEngine
from .commands.datasets import export_cameras, export_colmap
from .commands.doctor import doctor
from .commands.frames import frames
from .commands.photos import posed, poses
from .core.axes import Axes, AxesOrAuto
from .core.config import DEFAULT_PRESET, PRESETS, PresetName, TrainConfig
from .core.errors import UserError
from .core.events import Failed, Finished
from .core.files import make_folder
from .core.formats import format_named, format_of, lost_in, read_splats, write_splats
from .core.job import JobFolder, JobSpec
from .core.splat_file import left_behind
from .terminal import follow, print_error, print_findings

FormatName = Literal["AUTO", "PLY", "COMPRESSED_PLY", "SPZ", "SPZ_3", "SPLAT"]
Config = Annotated[TrainConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]
Positional = tyro.conf.Positional

app = tyro.extras.SubcommandApp()
app.command(doctor)
app.command(frames)
app.command(poses)
app.command(export_colmap)
app.command(export_cameras)


@app.command
def train(
    dataset: Positional[Path],
    config: Config = TrainConfig(),  # noqa: B008 (a frozen default)
    preset: PresetName = DEFAULT_PRESET,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("scene.ply"),
    axes: Axes = "SUPERSPLAT",
    job: Path | None = None,
) -> int:
    """Train splats from posed images, or from photos, whose cameras are found first. Ctrl+C stops and keeps the result.

    Args:
        dataset: folder with transforms.json, with a COLMAP model, or with photos alone
        preset: settings that go together; flags that are given beside it count more
        output: where the splats go: .ply, .compressed.ply, .spz or .splat
        axes: orientation of the file: SuperSplat's (Y down, as trainers write), OpenGL's (Y up) or Blender's own (Z up)
        job: the training's own folder; default: beside the output. Naming an existing one goes on with it,
            past its end when --max-steps is larger now
    """
    chosen = format_of(output)
    make_folder(output.parent)
    dataset = posed(dataset, output.with_suffix(".dataset"), config.resolution)
    folder = JobFolder((job or output.with_suffix(".job")).resolve())
    engine = LocalEngine(folder.path.parent)
    cursor = engine.events(folder.name)[1]
    start(engine, folder, JobSpec(dataset.resolve(), config.validate(), output.stem))
    last = follow(engine, folder.name, cursor)
    if isinstance(last, Finished):
        result = read_splats(folder.result)
        write_splats(output, result.gaussians, axes, result.antialiased, chosen)
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
        spec = replace(spec, config=gone_on(before.config, spec.config))
    folder.write_spec(spec)
    engine.resume(folder.name)


def gone_on(before: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """Settings of a training that goes on: as it began, but for its length, the engine it runs on, and a cap that was asked for."""
    changes = {name: getattr(asked, name) for name in ("max_steps", "backend", "gpus", "gpu_memory", "image_memory", "threads")}
    return replace(before, **changes, max_gaussians=asked.max_gaussians or before.max_gaussians)


def steps_done(engine: LocalEngine, job: str) -> int:
    """Steps of the last finished run of a job; 0 when it never finished."""
    return max((event.step for event in engine.events(job)[0] if isinstance(event, Finished)), default=0)


@app.command
def check(dataset: Positional[Path]) -> int:
    """Look for trouble in a dataset before any time is spent on it. Exit status 1 when training would be pointless.

    Args:
        dataset: folder with the images and their cameras
    """
    from .core.sources import read_dataset
    from .preflight import check_dataset

    found = read_dataset(dataset)
    findings = check_dataset(found)
    points = len(found.points) if found.points else 0
    print(f"{len(found.train_views)} views to train on, {len(found.eval_views)} held out, {points} start points")
    print_findings(findings)
    return 1 if any(finding.severity == "error" for finding in findings) else 0


@app.command
def convert(
    source: Positional[Path],
    output: Positional[Path],
    axes: Axes = "SUPERSPLAT",
    source_axes: AxesOrAuto = "AUTO",
    format: FormatName = "AUTO",
) -> int:
    """Write a splat file anew: in another format, in the chosen axes, without what no viewer can draw.

    Args:
        source: a splat file: PLY, compressed PLY, SPZ or .splat
        output: where the copy goes; its name chooses the format
        axes: orientation of the copy
        source_axes: orientation of the source, where the file does not say it or says it wrongly
        format: of the copy, where its name does not say it
    """
    chosen = format_named(format) or format_of(output)
    found = read_splats(source, source_axes)
    write_splats(output, found.gaussians, axes, found.antialiased, chosen)
    if found.extra_names:
        print(f"Left out, for splats do not have it: {', '.join(found.extra_names)}.")
    for note in (*left_behind(found), *lost_in(chosen, found.gaussians)):
        print(note)
    print(f"{len(found.gaussians)} Gaussians written to {output}")
    return 0


@app.command
def evaluate(scene: Positional[Path], dataset: Positional[Path], resolution: int = TrainConfig.resolution) -> int:
    """Measure a splat file on the held-out views of a dataset.

    Args:
        scene: a splat file
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
        scene: a splat file
        dataset: folder with the cameras
        output: folder for the pictures
        resolution: longest image side in pixels
        all_views: every camera, not only the held-out ones
    """
    from .views import render_views

    written = render_views(scene, dataset, make_folder(output), resolution, all_views)
    print(f"{len(written)} pictures written to {output}")
    return 0


def with_preset(arguments: list[str]) -> list[str]:
    """The flags that a training's preset stands for, before all others, so that those win."""
    if arguments[:1] != ["train"]:
        return arguments
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", default=DEFAULT_PRESET)
    try:
        preset = PRESETS.get(parser.parse_known_args(arguments)[0].preset)
    except argparse.ArgumentError:  # no name follows: tyro says so
        return arguments
    flags = [word for name, value in (preset.settings if preset else {}).items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [*arguments[:1], *flags, *arguments[1:]]


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        return app.cli(args=with_preset(arguments), prog="splatwright", description="Trains 3D Gaussian splats.") or 0
    except UserError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
