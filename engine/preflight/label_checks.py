"""Findings about label maps: how much of the images they cover, and whether their names can be read."""

from __future__ import annotations

from threading import Lock

from ..core.datasets.dataset import Dataset
from ..core.datasets.labels import read_labels
from ..core.errors import UserError, values
from ..core.protocol.events import Finding
from ..training.data.images import area_average
from ..training.data.view_files import ViewFiles

MOST_UNLABELLED = 1 / 3
"""Share of what the images show from which on it is worth a finding that no label says what it is."""

SAMPLES = 64
"""Pixels of each side at which label maps are looked at."""


class LabelCover:
    """How much of what the images show has labels; views are looked at in several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._shown = self._labelled = 0.0

    def look(self, files: ViewFiles) -> None:
        """Count a view that is trained on and has sound labels."""
        if files.view.held_out or files.labels is None:
            return
        small = area_average((files.labels[..., None] > 0).astype("float32"), SAMPLES, SAMPLES)[..., 0]
        image = files.image
        alpha = area_average(image[..., 3:].astype("float32"), SAMPLES, SAMPLES)[..., 0] / 255 if image.shape[2] == 4 else small * 0 + 1
        with self._lock:
            self._shown += float(alpha.sum())
            self._labelled += float((alpha * small).sum())

    @property
    def unlabelled(self) -> float:
        """Share of what the images show; 0 where nothing was looked at."""
        return 1 - self._labelled / self._shown if self._shown else 0.0


def check_labels(dataset: Dataset, cover: LabelCover) -> list[Finding]:
    """Label maps without a word about their numbers, and those that say little."""
    return [*_names(dataset), *_cover(cover.unlabelled)]


def _names(dataset: Dataset) -> list[Finding]:
    if dataset.labels_file is None:
        return []
    try:
        read_labels(dataset.labels_file)
    except UserError as error:
        return [Finding("warning", error.message, error.hint, "labels", code=error.code, values=error.values)]
    return []


def _cover(share: float) -> list[Finding]:
    if share <= MOST_UNLABELLED:
        return []
    hint = "Splats without a label take that of their neighbours; label more objects where that is not meant."
    if share > 0.999:
        return [Finding("warning", "All label maps hold nothing but background.", hint, "labels", share, code="preflight.labels_empty")]
    percent = round(100 * share)
    return [Finding("warning", f"{percent} % of what the images show has no label.", hint, "labels", share,
                    code="preflight.labels_few", values=values(percent=percent))]
