"""One search for cameras, and another one with thorough features where that may help. Runs in the child process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..core.protocol.progress import Say, Step
from .exchange import PLAIN, Outcome, SearchRequest
from .features import extract
from .mapping import Found, place, save
from .matching import match

MOST_AGAIN = 64
"""Sets of up to so many photos are searched again by themselves: thorough features take three seconds of a processor a photo."""


def search(request: SearchRequest, work: Path, say: Say) -> Outcome:
    """Find cameras, leave the model in the work folder, and tell what became of every photo."""
    found = _once(replace(request, thorough=request.features == "thorough"), work, say)
    if request.features == "auto" and worth_another(found.outcome):
        left = len(request.images) - found.outcome.placed
        say(Step("extracting thorough features", 0, len(request.images),
                 f"{left} of {len(request.images)} photos are not registered: trying again with thorough features."))
        again = _once(replace(request, thorough=True), work, say)
        found = max(found, again, key=lambda each: each.outcome.placed)
    save(found.model, work)
    return found.outcome


def worth_another(outcome: Outcome) -> bool:
    """Whether photos are left that show enough to be recognised, in a set that is small enough."""
    return len(outcome.images) <= MOST_AGAIN and any(not image.placed and image.features >= PLAIN for image in outcome.images)


def _once(request: SearchRequest, work: Path, say: Say) -> Found:
    focals = extract(request, work, say)
    match(request, work, say)
    return place(request, work, focals, say)
