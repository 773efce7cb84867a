"""The command that trains, here or on another computer, and writes the splats."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro

from ..core.datasets.fingerprint import fingerprint
from ..core.datasets.read import read_dataset
from ..core.errors import UserError
from ..core.files import make_folder
from ..core.formats.registry import format_of, lost_in, read_splats, write_splats
from ..core.protocol.config import DEFAULT_PRESET, PresetName, TrainConfig, gone_on
from ..core.protocol.events import Event, Failed, Finished, Paused, Progress, error_of
from ..core.protocol.folder import FolderGone, JobFolder, JobSpec
from ..core.protocol.plan import read_plan, repeated
from ..core.splats.axes import Axes
from ..core.splats.region import region_from_words
from ..jobs.local_engine import Engine
from ..jobs.start_file import start_of, with_own_start
from .chosen_engine import chosen_engine
from .evaluate import exported_quality
from .photos import posed
from .terminal import follow, print_left_out

Config = Annotated[TrainConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]


def train(
    dataset: tyro.conf.Positional[Path],
    config: Config = TrainConfig(),  # noqa: B008 (a frozen default)
    preset: PresetName = DEFAULT_PRESET,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("scene.ply"),
    axes: Axes = "SUPERSPLAT",
    job: Path | None = None,
    engine: str = "",
    leave_out_strays: bool = False,
    exclude: tuple[str, ...] = (),
    plan: Path | None = None,
    start_file: Path | None = None,
    region: str = "",
) -> int:
    """Train splats from posed images, or from photos, whose cameras are found first. Ctrl+C stops and keeps the result.

    Args:
        dataset: folder with images and cameras (transforms.json, COLMAP, RealityScan, Metashape, Polycam, OpenSfM, NeRF-synthetic,
            LLFF), or with photos alone; a ZIP of one; or the file of cameras itself
        preset: settings that go together; flags that are given beside it count more
        output: where the splats go: .ply, .compressed.ply, .spz or .splat
        axes: orientation of the file: SuperSplat's (Y down, as trainers write), OpenGL's (Y up) or Blender's own (Z up)
        job: the training's own folder; default: beside the output. Naming an existing one goes on with it,
            past its end when --max-steps is larger now; the verb resume does so too
        engine: address of an engine on another computer, also read from SPLATWRIGHT_ENGINE; its token is read from
            SPLATWRIGHT_TOKEN, and from SPLATWRIGHT_CERTIFICATE a certificate file that no authority has signed
        leave_out_strays: leave out the few views whose cameras stand far away from all others, from now on: excluded.txt names them
        exclude: images to leave out, by name or path, * for any letters; which views are held out stays as it is
        plan: plan.json of another training's folder, to repeat it on the same dataset: its settings, and the steps that its minutes came
            to, count in place of those given here
        start_file: splats to begin with, in the dataset's place and size, or the folder of a finished training, also of fewer photos;
            --start takes them too
        region: a box "x y z  sx sy sz" (middle and sides, in the dataset's axes, Z up), with a quaternion "w x y z" after them where it
            is turned: outside of it only the background grows, a tenth of the splats
    """
    format_of(output)
    make_folder(output.parent)
    dataset = posed(dataset, output.with_suffix(".dataset"), config.resolution)
    if leave_out_strays:
        print_left_out(dataset)
    folder = JobFolder((job or output.with_suffix(".job")).resolve())
    place = chosen_engine(folder.path.parent, engine)
    if plan:
        config = repeated(read_plan(plan), fingerprint(read_dataset(dataset, exclude)), config)
    spec = JobSpec(dataset.resolve(), config.validate(), output.stem, exclude, start_of(start_file) if start_file else None,
                   region_from_words(region).matrix if region else None)
    last = None if output.exists() else finished_alone(place, folder, spec)
    if last is None:
        cursor = place.events(folder.name)[1]
        begun = start(place, folder, spec)
        last = follow(place, folder.name, cursor)
        if last is None and not begun:  # it ended with the command that had begun it
            start(place, folder, spec)
            last = follow(place, folder.name, cursor)
    return conclude(place, folder, last, output, axes)


def conclude(place: Engine, folder: JobFolder, last: Event | None, output: Path, axes: Axes) -> int:
    """Write the splats of a training that has ended and print its figures; UserError where it has come to no end."""
    if isinstance(last, Finished):
        chosen, result = format_of(output), read_splats(folder.result)
        write_splats(output, result.gaussians, axes, result.antialiased, chosen, offset=result.offset)
        for note in lost_in(chosen, result.gaussians):
            print(note, file=sys.stderr)
        psnr, ssim = exported_quality(output, folder, last)
        print(json.dumps({"output": str(output), "psnr": psnr, "ssim": ssim, "gaussians": last.gaussians,
                          "steps": last.step, "seconds": last.seconds}))
        return 0
    if isinstance(last, Failed):
        raise error_of(last)
    if isinstance(last, Paused):
        place.kill(folder.name)
        raise UserError(f"The training paused itself at step {last.step}. {last.reason}",
                        "Its checkpoint is kept: run the same command again to go on anyway, or fix the cause and start a new training.")
    if not folder.path.is_dir():
        raise FolderGone(folder.path)
    raise UserError("The engine stopped before the end.", f"Run the same command again to go on; its log is {folder.log}.")


def finished_alone(engine: Engine, folder: JobFolder, spec: JobSpec) -> Finished | None:
    """How a job of the same settings ended without the command line; None when it has not ended, or is another job."""
    if not (folder.path / "job.json").exists() or engine.state(folder.name).alive:
        return None
    if folder.read_spec().dataset != spec.dataset:
        return None
    ends = [event for event in engine.events(folder.name)[0] if isinstance(event, Finished)]
    asked = lasting_as(folder.read_spec().config, spec.config).max_steps
    return ends[-1] if ends and ends[-1].step >= asked and folder.result.exists() else None


def start(engine: Engine, folder: JobFolder, spec: JobSpec) -> bool:
    """Begin the job, or go on with it when its folder is there already. False when it is at work, begun by somebody else."""
    if (folder.path / "job.json").exists():
        before = folder.read_spec()
        if engine.state(folder.name).alive:
            spec = replace(spec, config=lasting_as(before.config, spec.config))
            same = (before.dataset, before.exclude) == (spec.dataset, spec.exclude)
            if same and alike(gone_on(before.config, spec.config), before.config):
                return False
            raise UserError(f"{folder.path} is being trained already, with other settings.", "Wait for it, or name another --job folder.")
        if nothing_kept(engine, folder):
            folder.write_spec(with_own_start(folder, spec))
            engine.resume(folder.name)
            return True
        if before.dataset != spec.dataset:
            raise UserError(f"{folder.path} holds a training of {before.dataset}.", "Name another --job folder, or delete this one.")
        spec = replace(spec, config=lasting_as(before.config, spec.config))
        if steps_done(engine, folder.name) >= spec.config.max_steps:
            raise UserError(f"{folder.path} is trained to its end.",
                            f"Give more than --max-steps {before.config.max_steps} to go on, or delete the folder to begin anew.")
        engine.set_budget(folder.name, spec.config.budget_hours, spec.config.budget_cost)
        spec = replace(spec, config=gone_on(before.config, spec.config), start_file=before.start_file, region=before.region)
    else:
        engine.reach()
    folder.write_spec(with_own_start(folder, spec))
    engine.resume(folder.name)
    return True


def lasting_as(before: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """The settings with the end that a training was given for its minutes, where the same minutes are asked for again."""
    return replace(asked, max_steps=before.max_steps) if asked.minutes and asked.minutes == before.minutes else asked


def nothing_kept(engine: Engine, folder: JobFolder) -> bool:
    """Whether a job ended before its first checkpoint, so that there is nothing to go on with: it begins anew, as it is asked for now."""
    if any(folder.checkpoint.glob("*")) or folder.result.exists():
        return False
    begun = (Finished, Paused, *((Progress,) if engine.kept_there(folder.name) else ()))  # a remote engine may keep a checkpoint
    return not any(isinstance(event, begun) for event in engine.events(folder.name)[0])


def alike(asked: TrainConfig, running: TrainConfig) -> bool:
    """Whether a running training is the one that was asked for: its cap may be lower meanwhile, for want of memory."""
    return running.max_gaussians <= asked.max_gaussians and replace(asked, max_gaussians=running.max_gaussians) == running


def steps_done(engine: Engine, job: str) -> int:
    """Steps of the last finished run of a job; 0 when it never finished."""
    return max((event.step for event in engine.events(job)[0] if isinstance(event, Finished)), default=0)
