"""Splats in the browser, with the cameras and photos that they come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from ..core.datasets.read import read_dataset
from ..core.datasets.recentring import offset_of_job
from ..core.errors import UserError
from ..core.formats.registry import stated_offset
from ..core.protocol.folder import JobFolder
from ..core.splats.offset import Offset
from .terminal import console

if TYPE_CHECKING:
    from ..core.datasets.dataset import View


def view(
    scene: tyro.conf.Positional[Path],
    dataset: tyro.conf.Positional[Path | None] = None,
    host: str = "127.0.0.1",
    port: int = 8080,
) -> int:
    """Show splats in the browser with cameras and photos. Of a training's folder the preview is followed while it runs. Ctrl+C ends it.

    Args:
        scene: a splat file, or a training's folder
        dataset: folder with the images and their cameras; default: the one that the splats were trained from, where that is known
        host: address to listen on; others than 127.0.0.1 let every computer of the network look
        port: to listen on; another one is taken when it is busy
    """
    from ..evaluation.scene import job_of
    from ..viewer import viewing

    if not scene.exists():
        raise UserError(f"{scene} does not exist.", "Name a splat file, or a training's folder.")
    job = job_of(scene)
    views = _views(dataset, job, offset_of_job(job) if job else stated_offset(scene))
    with viewing(lambda: newest_file(scene), views, host, port) as viewer:
        console.print(f"http://{host}:{viewer.port}", style="bold")
        viewer.serve()
    return 0


def newest_file(scene: Path) -> Path | None:
    """A splat file itself; of a training's folder the newer of its preview and its result."""
    if not scene.is_dir():
        return scene
    job = JobFolder(scene)
    job.read_spec()
    there = [path for path in (job.preview, job.result) if path.is_file()]
    return max(there, key=lambda path: path.stat().st_mtime_ns, default=None)


def _views(dataset: Path | None, job: JobFolder | None, offset: Offset | None) -> tuple[View, ...]:
    """The dataset's views beside splats with that offset; none, and a sentence, when the training's own is gone."""
    if dataset:
        return read_dataset(dataset, offset=offset).views
    try:
        return read_dataset(job.read_spec().dataset, offset=offset).views if job else ()
    except UserError as error:
        console.print(f"Without cameras and photos: {error.message}", style="dim", markup=False, highlight=False)
        return ()
