"""One capture of a batch: its scene is shown meanwhile, and its task holds the progress."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...engine.batch.tasks import Task, TaskState, forget, write_record
from ...engine.core.errors import UserError
from ...engine.core.files import disk_error
from ..capture.capture import CaptureProgress, capture_steps
from ..capture.render_passes import Render
from ..typed import current_context
from .plan import BatchPlan, showing


def captured(plan: BatchPlan, render: Render) -> Iterator[CaptureProgress]:
    """Capture view by view. A failure is the task's; closed early, the task waits again and its dataset is marked incomplete."""
    task, directory = plan.task, plan.request.directory
    task.state, task.done, task.total = TaskState.CAPTURING, 0, task.images
    try:
        forget(directory)
        with showing(plan.scene):
            for seen in capture_steps(current_context(), plan.request, render, partial(_warn, task)):
                _note(task, seen)
                yield seen
        write_record(directory, plan.asked)
        task.captured(task.total)
    except UserError as error:
        task.fail(error)
    except OSError as error:
        task.fail(disk_error(Path(error.filename or directory), error))
    except (RuntimeError, KeyError, ReferenceError) as error:
        task.fail(UserError(f"The scene {plan.scene} could not be captured: {error}.", "Capture it from the panel Capture to see why.",
                            "batch.not_captured", scene=plan.scene, error=error))
    finally:
        if task.state is TaskState.CAPTURING:
            task.state, task.eta = TaskState.WAITING, None


def _warn(task: Task, warning: str) -> None:
    """For the terminal, or the log of `splatwright capture`."""
    print(f"Splatwright: {task.name}: {warning}", flush=True)


def _note(task: Task, seen: CaptureProgress) -> None:
    task.done, task.total, task.eta = seen.done, seen.total, seen.eta_seconds
    if seen.eta_seconds and seen.done < seen.total:
        task.view_seconds = seen.eta_seconds / (seen.total - seen.done)
