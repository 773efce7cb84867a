"""Makes the page of a job folder and writes it there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.errors import UserError
from ..core.files import write_text
from ..core.protocol.events import Finished
from ..core.protocol.folder import JobFolder
from ..evaluation.held_out import held_out_for
from .page import page
from .record import read_record
from .strips import Strip, strips_of


def write_report(job: JobFolder, tick: Callable[[], None] = lambda: None, finished: Finished | None = None) -> Path:
    """Write the job's report.html; returns it. Works at any time: what is not there yet is left out and said.

    UserError when the folder is no job or cannot be written. `tick` is called for each picture, `finished` is an end that the
    job's events do not tell yet.
    """
    record = read_record(job, finished)
    strips, note = _strips(job, tick) if record.report else ([], "There are no images yet: the result is written when the training ends.")
    write_text(job.page, page(record, strips, note))
    return job.page


def _strips(job: JobFolder, tick: Callable[[], None]) -> tuple[list[Strip], str]:
    """The pictures, or the sentence that says why there are none."""
    try:
        return strips_of(job.result, held_out_for(job.path), tick=tick), ""
    except UserError as error:
        return [], f"There are no images: {error.message}"
