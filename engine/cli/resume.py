"""The command that goes on with a training by its job folder alone: to its end, or past it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from ..core.errors import UserError
from ..core.files import make_folder
from ..core.formats.registry import format_of
from ..core.protocol.folder import JobFolder
from ..core.splats.axes import Axes
from ..jobs.local_engine import Engine, JobState
from ..remote.local_copy import read_remote_state
from .chosen_engine import chosen_address, chosen_engine
from .terminal import follow
from .train import conclude


def resume(
    job: tyro.conf.Positional[Path],
    further: int = 0,
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    axes: Axes = "SUPERSPLAT",
    engine: str = "",
    budget_hours: float | None = None,
    budget_cost: float | None = None,
) -> int:
    """Go on with a training that was stopped, interrupted or has failed, or train one that is finished --further. Ctrl+C stops it.

    Args:
        job: the training's own folder, also one that Blender began
        further: so many steps more than it has done, and at least to the end that it had. Learning rates and image size stay as they were
            at the end, and no splats are added any more
        output: where the splats go: .ply, .compressed.ply, .spz or .splat; default: a PLY beside the folder
        axes: orientation of the file: SuperSplat's (Y down, as trainers write), OpenGL's (Y up) or Blender's own (Z up)
        engine: address of the engine on another computer that trained it, also read from SPLATWRIGHT_ENGINE, its token from
            SPLATWRIGHT_TOKEN
        budget_hours: another budget in hours, with those that it has taken already; 0: no limit. A training that its budget has stopped
            needs a larger one
        budget_cost: another budget in money, by the price per hour of the engine; 0: no limit
    """
    folder = JobFolder(job.resolve())
    folder.read_spec()
    output = output or folder.path.with_suffix(".ply")
    format_of(output)
    make_folder(output.parent)
    if read_remote_state(folder) and chosen_address(engine) is None:
        raise UserError(f"{folder.path} was trained by an engine on another computer.", "Name it: --engine ADDRESS.", "job.remote",
                        path=folder.path)
    place = chosen_engine(folder.path.parent, engine)
    cursor = place.events(folder.name)[1]
    config = folder.read_spec().config
    if not place.state(folder.name).alive:
        place.set_budget(folder.name, config.budget_hours if budget_hours is None else budget_hours,
                         config.budget_cost if budget_cost is None else budget_cost)
    go_on(place, folder, further)
    return conclude(place, folder, follow(place, folder.name, cursor), output, axes)


def go_on(engine: Engine, folder: JobFolder, further: int) -> None:
    """Let the training go on; UserError when there is nothing left to do."""
    if further < 0:
        raise UserError(f"--further is {further}.", "Give how many steps more.", "training.further", steps=further)
    if further:
        engine.train_further(folder.name, further)
        return
    ended = engine.told(folder.name).finished
    if engine.state(folder.name) is JobState.FINISHED and ended is not None and not ended.stopped:
        raise UserError(f"{folder.path} is trained to its end.", "Give --further and so many steps more.", "training.at_its_end",
                        path=folder.path)
    engine.resume(folder.name)
