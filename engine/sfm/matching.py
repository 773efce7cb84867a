"""Matches between photos, in COLMAP's database. Runs in the child process."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pycolmap

from ..core.protocol.progress import OnProgress, Step
from ..core.protocol.sfm_options import Pairing
from .exchange import SearchRequest
from .pairing import FEW, LOOKALIKES, LOOPS, STRONGEST, Pair, all_pairs, lookalikes, neighbours, similarity

BATCH = max(24, 8 * (os.cpu_count() or 1))
PAIRS = "pairs.txt"


def match(request: SearchRequest, work: Path, on_progress: OnProgress) -> None:
    """Match the pairs of photos that the request's pairing selects."""
    pairing = chosen(request.pairing, len(request.images), request.ordered)
    pairs = sorted(_pairs(pairing, request, work, on_progress))
    on_progress(Step("selecting pairs", note=f"{_describe(pairing, len(request.images))}: {len(pairs):,} pairs."))
    match_pairs(request, work, pairs, on_progress)


def chosen(pairing: Pairing, count: int, ordered: bool) -> Pairing:
    """The pairing that is used; `auto` is decided by number and order of the photos."""
    if pairing != "auto":
        return pairing
    return "exhaustive" if count <= FEW else "sequential" if ordered else "similar"


def _describe(pairing: Pairing, count: int) -> str:
    match pairing:
        case "exhaustive":
            return f"{count} photos, all are matched with all"
        case "sequential":
            return f"{count} photos in a row, each is matched with its neighbours and with {LOOPS} look-alikes"
        case _:
            return f"{count} photos, each is matched with the {LOOKALIKES} that look most alike"


def _pairs(pairing: Pairing, request: SearchRequest, work: Path, on_progress: OnProgress) -> Iterable[Pair]:
    count = len(request.images)
    match pairing:
        case "exhaustive":
            return all_pairs(count)
        case "sequential":
            return neighbours(count) | lookalikes(_alike(request, work, on_progress), LOOPS)
        case _:
            return neighbours(count, 1) | lookalikes(_alike(request, work, on_progress), LOOKALIKES)


def _alike(request: SearchRequest, work: Path, on_progress: OnProgress) -> np.ndarray:
    """How alike each two photos look: [N, N]."""
    count = len(request.images)
    return similarity(_strongest(request, work), lambda row: on_progress(Step("selecting pairs", row + 1, count)))


def _strongest(request: SearchRequest, work: Path) -> list[np.ndarray]:
    """Descriptors [M, 128] of the largest features of every photo."""
    with pycolmap.Database.open(work / request.database) as database:
        numbers = {image.name: image.image_id for image in database.read_all_images()}
        return [_largest(database, numbers[name]) for name in request.images]


def _largest(database: pycolmap.Database, number: int) -> np.ndarray:
    shapes = database.read_keypoints(number)[:, 2:6]  # x, y and an affine frame; its determinant is the square of the size
    sizes = np.abs(shapes[:, 0] * shapes[:, 3] - shapes[:, 1] * shapes[:, 2])
    return database.read_descriptors(number).data[np.argsort(-sizes, kind="stable")[:STRONGEST]]


def match_pairs(request: SearchRequest, work: Path, pairs: list[Pair], on_progress: OnProgress) -> None:
    """Match and verify pairs; those that the database holds already cost nothing."""
    left, begin = unmatched(request, work, pairs), time.monotonic()
    done = len(pairs) - len(left)
    on_progress(Step("matching photos", done, len(pairs)))
    for first in range(0, len(left), BATCH):
        batch = left[first : first + BATCH]
        (work / PAIRS).write_text("".join(f"{request.images[a]} {request.images[b]}\n" for a, b in batch), encoding="utf-8")
        _match(request, work)
        done += len(batch)
        on_progress(Step("matching photos", done, len(pairs), _estimate(first, len(batch), len(left), time.monotonic() - begin)))


def unmatched(request: SearchRequest, work: Path, pairs: list[Pair]) -> list[Pair]:
    """Those pairs that have not been compared yet."""
    with pycolmap.Database.open(work / request.database) as database:
        numbers = {image.name: image.image_id for image in database.read_all_images()}
        known = {frozenset(pycolmap.pair_id_to_image_pair(pair)) for pair in database.read_two_view_geometry_num_inliers()[0]}
    return [(a, b) for a, b in pairs if frozenset((numbers[request.images[a]], numbers[request.images[b]])) not in known]


def _estimate(first: int, batch: int, total: int, seconds: float) -> str:
    """A sentence about the minutes that are left, after the first batch when it is more than one; else empty."""
    rest = seconds / batch * (total - batch)
    return f"Matching {total:,} pairs takes about {max(2, math.ceil(rest / 60))} minutes." if not first and rest > 60 else ""


def _match(request: SearchRequest, work: Path) -> None:
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    options.num_threads = request.threads
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = work / PAIRS
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
    pycolmap.match_image_pairs(work / request.database, matching_options=options, pairing_options=pairing,
                               verification_options=verification, device=pycolmap.Device.cpu)
