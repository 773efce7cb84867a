"""Label maps of a render: which placed thing each pixel shows, by Cryptomatte (Psyop, Cryptomatte specification 1.2)."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...engine.core.cameras.camera import Camera
from .placed_things import DrawnObject

PASS = "CryptoObject"
MATTE_SETTINGS = {"use_pass_cryptomatte_object": True, "pass_cryptomatte_depth": 6}
"""Of a view layer: up to six things a pixel."""


@dataclass(frozen=True)
class Mattes:
    """What Cryptomatte says of each pixel: the hashes of up to R names, and their shares of it."""

    hashes: np.ndarray  # [R, H, W] uint32
    shares: np.ndarray  # [R, H, W] float32


def mattes_of(channels: Mapping[str, np.ndarray], layer: str) -> Mattes | None:
    """From the channels of a view layer's passes; None where they have no Cryptomatte. Blender 4.5 writes their letters small."""
    found = {name.removeprefix(f"{layer}.").lower(): values for name, values in channels.items()}
    prefix = PASS.lower()
    parts = sorted({name.split(".")[0] for name in found if name.startswith(prefix)})
    ranks = [(found[f"{part}.{name}"], found[f"{part}.{share}"]) for part in parts for name, share in ("rg", "ba")]
    if not ranks:
        return None
    hashes = np.stack([np.ascontiguousarray(name, np.float32).view(np.uint32) for name, _ in ranks])
    return Mattes(hashes, np.nan_to_num(np.stack([share for _, share in ranks])))


def label_map(mattes: Mattes, drawn: Sequence[DrawnObject], camera: Camera, depth: np.ndarray | None) -> np.ndarray:
    """The label of the thing that covers most of each pixel, uint16 [H, W]; 0 where nothing covers more.

    Things whose names hash alike, such as instances of one collection, are told apart by place: the depth [H, W] of a pixel says where
    it lies, and the nearest box decides. Without depth the first one gets them all.
    """
    candidates: dict[int, list[DrawnObject]] = defaultdict(list)
    for each in drawn:
        candidates[name_hash(each.name)].append(each)
    keys, places = np.unique(mattes.hashes, return_inverse=True)
    found = [candidates.get(int(key), []) for key in keys]
    labels = np.array([each[0].label if each else 0 for each in found], np.uint16)[places].reshape(mattes.hashes.shape)
    for key, alike in zip(keys, found, strict=True):
        if depth is not None and len({each.label for each in alike}) > 1:
            here = mattes.hashes == key
            labels[here] = _nearest(alike, here, camera, depth)
    return _strongest(labels, np.where(mattes.hashes == 0, 0, mattes.shares))


def _nearest(candidates: Sequence[DrawnObject], here: np.ndarray, camera: Camera, depth: np.ndarray) -> np.ndarray:
    """For each True of `here` [R, H, W] the label of the candidate whose box is nearest to the pixel's place."""
    _, rows, columns = np.nonzero(here)
    places = camera.unproject(np.column_stack([columns + 0.5, rows + 0.5]), depth[rows, columns])
    best, labels = np.full(len(places), np.inf), np.zeros(len(places), np.uint16)
    for each in candidates:
        distance = each.distances(places)
        nearer = distance < best
        best[nearer], labels[nearer] = distance[nearer], each.label
    return labels


def _strongest(labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The label [H, W] whose shares, [R, H, W], add up to most; 0 where the rest of the pixel is more."""
    totals = np.stack([np.where(labels == own, shares, 0).sum(axis=0) for own in labels])
    totals[labels == 0] = 0
    best = totals.argmax(axis=0)[None]
    label, total = (np.take_along_axis(values, best, axis=0)[0] for values in (labels, totals))
    return np.where(total >= 1 - shares.sum(axis=0).clip(0, 1), label, 0).astype(np.uint16)


def name_hash(name: str) -> int:
    """MurmurHash3 (x86, 32 bits, seed 0) of a name in UTF-8, as Cryptomatte stores it: a bit of the exponent is turned where it would
    make a float that is no number."""
    data, mixed = name.encode(), 0
    whole = len(data) // 4 * 4
    for word in struct.unpack(f"<{whole // 4}I", data[:whole]):
        mixed = _rotated(mixed ^ _scrambled(word), 13) * 5 + 0xE6546B64 & 0xFFFFFFFF
    if data[whole:]:
        mixed ^= _scrambled(int.from_bytes(data[whole:], "little"))
    mixed ^= len(data)
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    mixed ^= mixed >> 16
    return mixed ^ 1 << 23 if mixed >> 23 & 255 in (0, 255) else mixed


def _scrambled(word: int) -> int:
    return _rotated(word * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & 0xFFFFFFFF
