"""`splatwright capture`: scenes of .blend files become datasets, and splats, one after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import tyro

from ..batch.blender import Blender, captured, find_blender
from ..batch.tasks import Task, TaskState
from ..batch.trainings import Trainings
from ..core.errors import UserError
from ..core.files import make_folder
from ..core.protocol.capture_messages import CaptureOrder, CaptureUpdate
from ..core.protocol.config import DEFAULT_PRESET, PresetName, TrainConfig
from .chosen_engine import chosen_address, chosen_engine
from .terminal import POLL_SECONDS, batch_view, print_batch

Config = Annotated[TrainConfig, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")]
AT_ONCE_ELSEWHERE = 1000


def capture(
    files: tyro.conf.Positional[tuple[Path, ...]],
    config: Config = TrainConfig(),  # noqa: B008 (a frozen default)
    preset: PresetName = DEFAULT_PRESET,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("captured"),
    scene: tuple[str, ...] = (),
    cameras: tuple[str, ...] = (),
    image_size: int = 0,
    samples: int = 0,
    train: bool = False,
    again: bool = False,
    engine: str = "",
    blender: Path | None = None,
) -> int:
    """Capture scenes of .blend files into datasets, without a window, and train splats from each. Run again, it goes on where it was.

    Args:
        files: the .blend files
        preset: settings of the trainings that go together; flags that are given beside it count more
        output: folder for the datasets: FILE/SCENE, or FILE/SCENE COLLECTION; the splats lie beside each, as .ply
        scene: names of scenes; default: every scene of each file
        cameras: names of collections with cameras, one dataset each; or all: every camera of the scene, each: each collection with
            several cameras, rig: what the panel Capture says in the scene. Default: all, or rig where there is but one camera
        image_size: longest side of the images in pixels; 0 keeps what the file says
        samples: render samples; 0 keeps what the file says
        train: train splats from each dataset; here one after the other when all are captured
        again: capture and train again what is already done
        engine: address of an engine on another computer, as for train; it gets each dataset as soon as it is captured
        blender: a Blender, or a Python with the module bpy; default: SPLATWRIGHT_BLENDER, or the one that is found
    """
    _check_files(files)
    program, output, elsewhere = find_blender(blender), make_folder(output.resolve()), chosen_address(engine) is not None
    orders = [CaptureOrder(str(file.resolve()), str(output / file.stem), scene, cameras, image_size, samples, again) for file in files]
    trainings = Trainings([chosen_engine(output / "jobs", engine)], AT_ONCE_ELSEWHERE if elsewhere else 1)
    batch = Batch(config.validate() if train else None, trainings, early=elsewhere)
    try:
        with batch_view() as show:
            for order in orders:
                for _ in batch.capture(program, order, output / f"{Path(order.file).stem}.log"):
                    show(batch.tasks)
            for _ in batch.train():
                show(batch.tasks)
    except KeyboardInterrupt:
        trainings.stop()
        raise
    finally:
        print_batch(batch.tasks)
    return 1 if any(task.state is TaskState.FAILED for task in batch.tasks) else 0


class Batch:
    """The datasets that Blender reports, and the trainings on them; `early`: each begins as soon as its dataset is captured."""

    def __init__(self, config: TrainConfig | None, trainings: Trainings, early: bool):
        self.config, self.trainings, self.early = config, trainings, early
        self.tasks: list[Task] = []

    def capture(self, program: Blender, order: CaptureOrder, log: Path) -> Iterator[None]:
        """Capture one file; yields some times a second. A failure is noted, and others go on."""
        try:
            for summary_sentence in captured(program, order, log):
                for news in summary_sentence:
                    self._take_in(news, Path(order.output))
                if self.early:
                    self._hand_over()
                    self.trainings.step()
                yield
        except UserError as error:
            self._take_in(CaptureUpdate(problem=str(error)), Path(order.output))

    def train(self) -> Iterator[None]:
        """Train on what is captured until all is over; yields some times a second."""
        self._hand_over()
        while self.trainings.step():
            yield
            time.sleep(POLL_SECONDS)
        yield

    def _hand_over(self) -> None:
        for task in self.tasks:
            if task.state is TaskState.CAPTURED:
                self.trainings.add(task)

    def _take_in(self, news: CaptureUpdate, folder: Path) -> None:
        """Record what Blender reports; a problem of the whole file is that of every dataset of it that is not captured."""
        if not news.dataset:
            if not any(task.dataset.parent == folder for task in self.tasks):
                self.tasks.append(Task(folder.name, folder))
            for task in self.tasks:
                if task.dataset.parent == folder or task.dataset == folder:
                    _fail(task, news.problem)
            return
        task = self._task(f"{folder.name}/{news.name}", Path(news.dataset))
        if news.problem:
            _fail(task, news.problem)
        elif news.whole:
            task.captured(news.total)
        else:
            task.images, task.done, task.total, task.view_seconds = news.total, news.done, news.total, news.view_seconds
            task.eta = news.view_seconds and news.view_seconds * (news.total - news.done)
            task.state = TaskState.CAPTURING if news.done or task.state is TaskState.CAPTURING else TaskState.WAITING

    def _task(self, name: str, dataset: Path) -> Task:
        known = next((task for task in self.tasks if task.dataset == dataset), None)
        if known is None:
            known = Task(name, dataset, self.config)
            self.tasks.append(known)
        return known


def _fail(task: Task, problem: str) -> None:
    if task.state in (TaskState.WAITING, TaskState.CAPTURING):
        task.fail(UserError(problem))


def _check_files(files: tuple[Path, ...]) -> None:
    """UserError when there is nothing to capture, a file is missing, or two would share a folder."""
    if not files:
        raise UserError("No file is named.", "Name the .blend files to capture.")
    for file in files:
        if file.suffix.lower() != ".blend":
            raise UserError(f"{file} is no .blend file.", "Name the .blend files to capture.")
        if not file.is_file():
            raise UserError(f"{file} does not exist.", "Check its name.")
    name, count = Counter(file.stem.casefold() for file in files).most_common(1)[0]
    if count > 1:
        raise UserError(f"{count} files are named {name}, and each file's datasets lie in a folder of its name.",
                        "Capture them one by one, with an --output of its own for each.")
