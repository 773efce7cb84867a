"""Where photos are missing: gaps on the way around the scene, and parts of it that few matches connect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.cameras.camera import Camera
from ..core.datasets.poses_report import Gap
from .consistency import components

LARGEST_STEP = 40.0
"""Degrees between two photos on a way around the scene above which a gap shows in the splats."""
GOOD_STEP = 15.0
"""Degrees between photos that make a good scene."""
WEAK = 60
"""Shared points below which two parts of a scene are poorly connected."""
AROUND = 0.7
"""Share of cameras that must look at the middle for the photos to be a walk around something."""
ONE_HEIGHT = 12.0
"""Range of elevation in degrees below which all cameras count as being at one height."""

MatchCount = tuple[str, str, int]
"""Two photos and how many verified matches they share."""


def gaps_and_advice(cameras: dict[str, Camera], links: Sequence[MatchCount]) -> tuple[Gap | None, list[str]]:
    """The largest gap around the scene, None below LARGEST_STEP degrees, and sentences about what to photograph next. Cameras are Z up."""
    advice = []
    gap = None
    if goes_around(list(cameras.values())):
        gap, sentences = _around(cameras)
        advice += sentences
    bridge = weakest_bridge(list(cameras), links)
    if bridge and bridge[2] < WEAK:
        advice.append(f"Two parts of the scene are connected only by the {bridge[2]} points that {bridge[0]} and {bridge[1]} share: "
                      "one or two photos from between them would connect them better.")
    return gap, advice


def focus_point(cameras: Sequence[Camera]) -> np.ndarray:
    """The point [3] nearest to all optical axes (least squares); the cameras' middle when they are parallel."""
    forward = np.array([-camera.camera_to_world[:3, 2] for camera in cameras])
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]  # [N, 3, 3]
    places = np.array([camera.position for camera in cameras])
    system = across.sum(axis=0)
    if np.linalg.cond(system) > 1e6:
        return places.mean(axis=0)
    return np.linalg.solve(system, np.einsum("nij,nj->i", across, places))


def goes_around(cameras: Sequence[Camera]) -> bool:
    """Whether most cameras look at one thing, from beside it rather than from straight above."""
    offset = focus_point(cameras) - np.array([camera.position for camera in cameras])  # [N, 3]
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
    forward = np.array([-camera.camera_to_world[:3, 2] for camera in cameras])
    looking = (offset * forward).sum(axis=1) > 0.85 * distance
    beside = np.hypot(offset[:, 0], offset[:, 1]) > 0.3 * distance
    return bool((looking & beside).mean() >= AROUND)


def _around(cameras: dict[str, Camera]) -> tuple[Gap | None, list[str]]:
    names = list(cameras)
    offset = np.array([camera.position for camera in cameras.values()]) - focus_point(list(cameras.values()))
    gap = largest_gap(names, np.degrees(np.arctan2(offset[:, 1], offset[:, 0])))
    elevation = np.degrees(np.arctan2(offset[:, 2], np.hypot(offset[:, 0], offset[:, 1])))
    sentences = [_gap_sentence(gap)] if gap.degrees > LARGEST_STEP else []
    if np.ptp(elevation) < ONE_HEIGHT:
        sentences.append(f"All photos look from about the same height ({elevation.mean():.0f}° above the middle of the scene): "
                         "a second round from higher up or lower down shows what they miss.")
    return gap if sentences and gap.degrees > LARGEST_STEP else None, sentences


def largest_gap(names: Sequence[str], angles: np.ndarray) -> Gap:
    """The widest empty angle between neighbours on a circle, `angles` [N] in degrees."""
    order = np.argsort(angles % 360)
    sorted_angles = angles[order] % 360
    steps = np.diff(sorted_angles, append=sorted_angles[0] + 360)
    widest = int(steps.argmax())
    ends = [int(order[widest]), int(order[(widest + 1) % len(order)])]
    first, second = (names[end] for end in ends)
    return Gap(first, second, float(sorted_angles[widest]), float(steps[widest]))


def _gap_sentence(gap: Gap) -> str:
    if gap.degrees > 180:
        return (f"The photos see the scene from one side, an arc of {360 - gap.degrees:.0f}°. To see it from behind, "
                f"go on around it from {gap.first} or from {gap.second}.")
    missing = round(gap.degrees / GOOD_STEP) - 1
    return (f"On the way around the scene {gap.degrees:.0f}° are missing between {gap.first} and {gap.second}: "
            f"take about {missing} photos there.")


def weakest_bridge(names: Sequence[str], links: Sequence[MatchCount]) -> MatchCount | None:
    """The weakest link of the maximum spanning tree (Kruskal) over the match counts; None for two photos or without links."""
    known = set(names)
    ties = sorted((link for link in links if link[0] in known and link[1] in known), key=lambda link: -link[2])
    low, high = 0, len(ties)
    while low < high:
        middle = (low + high) // 2
        joined = len(components(names, (link[:2] for link in ties[:middle]))) == 1
        low, high = (low, middle) if joined else (middle + 1, high)
    return ties[low - 1] if 0 < low <= len(ties) and len(names) > 2 else None
