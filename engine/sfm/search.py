"""One search for cameras, and another one with thorough features where that may help. Runs in the child process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..core.protocol.progress import OnProgress, Step
from .exchange import FEWEST_FEATURES, Outcome, SearchRequest
from .features import extract
from .mapping import Found, map_photos, save
from .matching import match

MOST_AGAIN = 64
"""Sets of up to so many photos are searched again by themselves: thorough features take three seconds of a processor a photo."""


def search(request: SearchRequest, work: Path, on_progress: OnProgress) -> Outcome:
    """Find cameras, write the model to the work folder, and return the outcome of every photo."""
    found = _once(replace(request, thorough=request.features == "thorough"), work, on_progress)
    if request.features == "auto" and worth_another(found.outcome):
        left = len(request.images) - found.outcome.placed
        on_progress(Step("extracting thorough features", 0, len(request.images),
                 f"{left} of {len(request.images)} photos are not registered: trying again with thorough features."))
        again = _once(replace(request, thorough=True), work, on_progress)
        found = max(found, again, key=lambda each: each.outcome.placed)
    save(found.model, work)
    return found.outcome


def worth_another(outcome: Outcome) -> bool:
    """Whether unregistered photos with enough features are left, in a set of at most MOST_AGAIN photos."""
    return len(outcome.images) <= MOST_AGAIN and any(not image.placed and image.features >= FEWEST_FEATURES for image in outcome.images)


def _once(request: SearchRequest, work: Path, on_progress: OnProgress) -> Found:
    focals = extract(request, work, on_progress)
    match(request, work, on_progress)
    return map_photos(request, work, focals, on_progress)
