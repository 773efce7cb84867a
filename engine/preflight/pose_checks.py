"""Findings about the list of views and their cameras: enough of them, sound poses, possible lenses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..core.cameras.camera import FLIP_YZ, Camera
from ..core.datasets.dataset import Dataset, LeftOut, View
from ..core.datasets.excluded import EXCLUDED, read_excluded
from ..core.datasets.spread import focus_point, scene_scale, steady, strays
from ..core.errors import values
from ..core.protocol.events import Finding
from ..core.splats.offset import NO_OFFSET, offset_words
from ..core.text import named
from . import thresholds as limit
from .findings import about_images

INVERSIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "the poses were inverted (world to camera)": np.linalg.inv,
    "the poses were inverted (world to camera) and in OpenCV's axes": lambda pose: np.linalg.inv(pose) @ FLIP_YZ,
}
"""Conventions that no start points are needed to tell; flipped axes have a sentence of their own."""


def check_completeness(dataset: Dataset, anyway: bool = False) -> list[Finding]:
    """Enough views, unless the training is to go on `anyway`, and none missing."""
    count = len(dataset.views)
    if count < limit.FEWEST_VIEWS and not (anyway and dataset.train_views):
        return [Finding("error", f"The dataset has {count} images; training needs at least {limit.FEWEST_VIEWS}.",
                        "Add images from other sides, 30 or more for a good result.", "few_views", float(count), fixes=("recapture",),
                        code="preflight.few_views", values=values(count=count, least=limit.FEWEST_VIEWS))]
    if not dataset.train_views:
        return [Finding("error", "Every image of the dataset is held out, so there is none to train on.",
                        "Name some images in train_filenames of transforms.json.", "held_out", code="preflight.all_held_out")]
    return [*_unpacked(dataset), *_left_out(dataset), *_missing(dataset), *_interrupted(dataset), *_recentred(dataset)]


def _unpacked(dataset: Dataset) -> list[Finding]:
    place = dataset.unpacked_to
    return [Finding("info", f"The ZIP was unpacked into {place}.", "", "unpacked", code="preflight.unpacked",
                    values=values(path=place))] if place else []


def _left_out(dataset: Dataset) -> list[Finding]:
    count = len(read_excluded(dataset.folder))
    return [Finding("info", f"Images that {EXCLUDED} excludes: {count}.", "Delete the file to include them again.", "excluded",
                    float(count), fixes=("include",),
                    code="preflight.excluded", values=values(file=EXCLUDED, count=count))] if count else []


def _missing(dataset: Dataset) -> list[Finding]:
    count, total = len(dataset.missing), len(dataset.missing) + len(dataset.views)
    return [Finding("warning", f"Images that have a camera but are not there ({count} of {total}): {named(dataset.missing)}.",
                    "Copy them beside the others, or train without them.", "missing", float(count),
                    code="preflight.missing", values=values(count=count, total=total, names=named(dataset.missing)))] if count else []


def _interrupted(dataset: Dataset) -> list[Finding]:
    return [] if dataset.complete else [
        Finding("warning", f"The capture was interrupted: {len(dataset.views)} views are there.",
                "Train with what is there, or capture it again.", "incomplete", float(len(dataset.views)), fixes=("recapture",),
                code="preflight.incomplete", values=values(count=len(dataset.views)))]


def _recentred(dataset: Dataset) -> list[Finding]:
    """What was taken from survey coordinates."""
    if dataset.offset == NO_OFFSET:
        return []
    words = ", ".join(offset_words(dataset.offset).split())
    return [Finding("info", f"The coordinates are large, as of a survey: ({words}) was taken from them, in Blender's axes.",
                    "Results stay near the origin and say so in a file beside them; splatwright convert --offset adds it again.", "offset",
                    code="preflight.recentred", values=values(offset=words))]


def without_unsound(dataset: Dataset) -> Dataset:
    """The dataset without views whose pose is not finite, or whose rotation is none; the same one where all are sound."""
    sound = [is_pose(view.camera.camera_to_world) for view in dataset.views]
    if all(sound):
        return dataset
    left_out = tuple(LeftOut(view.name, f"{view.name} is without a valid pose (a rotation and a position): {_numbers(view)}")
                     for view, good in zip(dataset.views, sound, strict=True) if not good)
    views = tuple(view for view, good in zip(dataset.views, sound, strict=True) if good)
    return replace(dataset, views=views, left_out=(*dataset.left_out, *left_out))


def _numbers(view: View) -> str:
    return " ".join(f"{number:g}" for number in np.ravel(view.camera.camera_to_world))


def is_pose(pose: np.ndarray) -> bool:
    """Whether a matrix is finite, a rotation without mirror or scale, and a place."""
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        return False
    rotation = pose[:3, :3]
    return bool(np.abs(rotation @ rotation.T - np.eye(3)).max() < limit.ROTATION_ERROR and np.linalg.det(rotation) > 0)


def check_placement(dataset: Dataset) -> list[Finding]:
    """Cameras on one spot, on one line, there twice, or far away from all others. Poses must be sound."""
    views = dataset.views
    if not views:
        return []
    positions = np.stack([camera.position for camera in steady(views)])
    size, rounding = scene_scale(dataset), limit.ROUNDING * float(np.abs(positions + dataset.offset).max())
    spread = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)
    if len(views) >= limit.FEWEST_VIEWS and spread[0] < max(limit.SAME_PLACE * size, rounding):
        return [Finding("error", "All cameras stand on one spot, so there is no depth to learn.",
                        "Move the camera between the images.", "one_spot", fixes=("recapture",), code="preflight.one_spot")]
    return [*_on_a_line(views, spread), *_twins(views, limit.SAME_PLACE * size), *_stray(views)]


def _on_a_line(views: tuple[View, ...], spread: np.ndarray) -> list[Finding]:
    """`spread` [3]: singular values of the positions."""
    if len(views) < limit.FEWEST_COMPARED or spread[1] > limit.COLLINEAR * spread[0]:
        return []
    return [Finding("warning", f"All {len(views)} cameras stand on one straight line, so the scene is known from one side only.",
                    "Add images from other heights and sides.", "one_line", fixes=("recapture", "cover"),
                    code="preflight.one_line", values=values(count=len(views)))]


def _twins(views: tuple[View, ...], tolerance: float) -> list[Finding]:
    """Views whose camera stands and looks like an earlier one's."""
    seen, twins = set(), []
    for view in views:
        pose = view.camera.camera_to_world
        key = (*np.round(pose[:3, 3] / tolerance).tolist(), *np.round(pose[:3, :3] / limit.SAME_TURN).ravel().tolist())
        if key in seen:
            twins.append(view.name)
        seen.add(key)
    return about_images("same_camera", "Images with the same camera as another one", twins, len(views),
                        "Check that nothing was captured twice; if the scene moved in between, the result will be blurred.")


def _stray(views: tuple[View, ...]) -> list[Finding]:
    """The few cameras that stand far away from all others; `measure`: how many times the usual distance from the middle."""
    positions = np.stack([view.camera.position for view in views])
    found = strays(positions)
    away = np.linalg.norm(positions - np.median(positions, axis=0), axis=1)
    times = float(away.max() / np.median(away)) if found.any() else 0.0
    return about_images("stray_camera", "Images whose camera stands far away from all others",
                        [view.name for view, stray in zip(views, found, strict=True) if stray], len(views),
                        "Most likely the pose is wrong: leave them out (--leave-out-strays), unless they were taken there.",
                        measure=round(times, 1), times=times)


def check_directions(views: tuple[View, ...]) -> list[Finding]:
    """Poses of another convention, without start points to tell: cameras whose axes meet behind them, or nowhere. Poses must be valid."""
    if len(views) < limit.FEWEST_COMPARED:
        return []
    poses = [view.camera.camera_to_world for view in views]
    inverted = next((cause for cause, convention in INVERSIONS.items() if _meeting(list(map(convention, poses))) >= limit.MEETING), "")
    if inverted and _meeting(poses) < limit.NOT_MEETING:
        return [Finding("warning", f"The cameras do not look at one place, and would if {inverted}.",
                        "Give the poses as camera to world in OpenGL's convention (the camera looks along -Z, +Y is up).",
                        "convention", code="preflight.inverted", values=values(cause=inverted))]
    middle = focus_point(steady(views))
    forward = np.array([(view.camera.position - middle) @ view.camera.camera_to_world[:3, 2] for view in views])
    behind = float((forward < 0).mean())
    if behind < limit.BEHIND:
        return []
    return [Finding("warning", f"{behind:.0%} of the cameras look away from the point that they surround.",
                    "Unless the photos were taken outwards from the middle, flip the y and z axes of the poses (OpenCV's are so).",
                    "outward", behind, code="preflight.outward", values=values(share=behind))]


def _meeting(poses: list[np.ndarray]) -> float:
    """Share of poses [4, 4] that look towards the point that is nearest to all axes."""
    if not all(np.isfinite(pose).all() for pose in poses):
        return 0.0
    middle = focus_point([Camera(1, 1, 1.0, 1.0, 0.5, 0.5, pose) for pose in poses])
    towards = np.array([middle - pose[:3, 3] for pose in poses])
    along = np.array([-pose[:3, 2] for pose in poses])
    return float(((towards * along).sum(axis=1) > limit.TOWARDS * np.linalg.norm(towards, axis=1)).mean())


def check_lenses(views: tuple[View, ...]) -> list[Finding]:
    """Intrinsics that do not fit the image's size."""
    views = tuple(view for view in views if not view.camera.orthographic)  # whose focal length is none
    narrow = [view.name for view in views if not limit.NARROWEST < _degrees(view) < limit.MAX_FOV_SCALE]
    aside = [view.name for view in views if _off_centre(view) > limit.OFF_CENTRE]
    unequal = [view.name for view in views if abs(math.log(view.camera.fl_x / view.camera.fl_y)) > math.log1p(limit.UNEQUAL_FOCAL)]
    size = "Check that the intrinsics belong to images of this size."
    return [*about_images("field_of_view", "Images with an unlikely focal length for their size", narrow, len(views), size),
            *about_images("principal_point", "Images whose principal point is far from the middle", aside, len(views), size),
            *about_images("focal", "Images with different focal lengths across and down", unequal, len(views),
                          "Check fl_x and fl_y, unless the pixels are not square.")]


def _degrees(view: View) -> float:
    """The angle that the longest side spans."""
    camera = view.camera
    return math.degrees(2 * math.atan(max(camera.width / camera.fl_x, camera.height / camera.fl_y) / 2))


def _off_centre(view: View) -> float:
    camera = view.camera
    return max(abs(camera.cx / camera.width - 0.5), abs(camera.cy / camera.height - 0.5))
