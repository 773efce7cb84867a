"""The cameras that a capture would take now, where each would stand, and which stand badly. Changes nothing in the file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import bpy
import numpy as np

from ...engine.core.cameras.camera import Camera
from ...engine.core.errors import UserError
from ...engine.core.text import named
from ..cameras import camera_from_blender, camera_with_lens
from ..translations import tr
from ..typed import Context
from . import rigs, walks
from .curves import curve_lines
from .keyed_motion import matrix_at
from .request import CaptureRequest
from .rooms import CLEARANCE, standpoint_steps
from .shots import Subject, animated_cameras, capture_frames, framed, selected_cameras
from .walls import AROUND, Walls

GENERATED = ("DOME", "ORBIT", "WALK")
SEEN = 0.25
"""Share of the subject's outline that a camera must see."""

TARGETS = 12
"""Points of the outline that are looked for."""

SHRUNK = 0.9
"""The points lie this far out between the subject's middle and its outline: the outline itself may touch the floor."""

GAP = 0.03
"""Share of its distance to the subject's middle that a moved camera keeps to the wall."""

NEAREST = 0.4
"""Share of its wanted distance that a moved camera must have: nearer it shows a detail."""

OUTSIDE = 1.15
"""Times the subject's extent towards a moved camera that it must be away from the middle."""

MOST_NAMED = 3


class Placing(Enum):
    """How a camera of a rig stands."""

    WELL = "well"
    MOVED = "moved before a wall"
    LEFT_OUT = "left out"
    INSIDE = "inside of something"
    """one that people have placed: it is captured from, and named"""


@dataclass(frozen=True)
class PlannedCamera:
    """One camera of a rig. `obstacle` says in two words what it is inside of or behind: "behind Wall"."""

    camera: Camera
    placing: Placing = Placing.WELL
    obstacle: str = ""
    name: str = ""
    """of a camera that is in the scene"""


@dataclass(frozen=True)
class RigPlan:
    """The cameras of a rig, and how many images it takes."""

    cameras: tuple[PlannedCamera, ...]
    images: int
    depths: tuple[float, float] = (math.inf, 0.0)
    """How near and how far from generated cameras what they look at is"""
    outside: str = ""
    """Name of the scene's camera where walls stand between it and all cameras of the rig"""

    def placed(self, *placings: Placing) -> list[PlannedCamera]:
        """Its cameras that stand so."""
        return [found for found in self.cameras if found.placing in placings]

    @property
    def taken(self) -> list[PlannedCamera]:
        """Those that are captured from."""
        return self.placed(Placing.WELL, Placing.MOVED, Placing.INSIDE)

    @property
    def label(self) -> str:
        """How many cameras, in a few words."""
        counts = [(len(self.placed(placing)), words) for placing, words in (
            (Placing.MOVED, tr("moved before walls")), (Placing.LEFT_OUT, tr("left out")), (Placing.INSIDE, tr("inside of objects")))]
        notes = "".join(f", {count} {words}" for count, words in counts if count)
        return (tr("1 camera") if self.images == 1 else tr("{count} cameras", count=self.images)) + notes

    @property
    def warnings(self) -> list[str]:
        """Sentences about cameras that are left out or stand inside of something, and why."""
        left_out, inside = self.placed(Placing.LEFT_OUT), self.placed(Placing.INSIDE)
        found = []
        if left_out:
            found.append(tr("1 camera is left out: {obstacles}." if len(left_out) == 1 else "{count} cameras are left out: {obstacles}.",
                            count=len(left_out), obstacles=_obstacles(left_out)))
        if inside:
            found.append(tr("Nothing but the inside of an object is seen by {names}: {obstacles}.",
                            names=named(sorted({planned.name for planned in inside})), obstacles=_obstacles(inside)))
        if self.outside:
            found.append(tr("{camera} stands in a room, and these cameras stand outside of it. Choose Walk for interiors.",
                            camera=self.outside))
        return found


PlanSteps = Generator[None, None, RigPlan]


def plan(context: Context, request: CaptureRequest) -> RigPlan:
    """All steps at once."""
    steps = plan_steps(context, request)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def plan_steps(context: Context, request: CaptureRequest) -> PlanSteps:
    """Find out where the cameras of a request stand; yields now and then. The scene must not change between the steps.

    UserError where there is nothing to capture from or to look at.
    """
    match request.source:
        case "SELECTED":
            cameras = selected_cameras(context, request)
            views = [(found.name, camera_from_blender(context.scene, found)) for found in cameras]
            return (yield from _own_cameras(context, views, len(views)))
        case "ANIMATION":
            views, images = _views_over_time(context, request.frame_step)
            return (yield from _own_cameras(context, views, images))
        case "DOME" | "ORBIT":
            return (yield from _around(context, request))
        case "WALK":
            return (yield from _walk(context, request))


def _own_cameras(context: Context, views: Sequence[tuple[str, Camera]], images: int) -> PlanSteps:
    """Cameras that people have placed: they are never moved."""
    walls, found = Walls(context), []
    for name, camera in views:
        inside = walls.shown_inside(camera)
        placing = Placing.WELL if inside is None else Placing.INSIDE
        found.append(PlannedCamera(camera, placing, "" if inside is None else tr("inside {name}", name=inside.name), name))
        yield
    return RigPlan(tuple(_but_in_rooms(found, Placing.INSIDE)), images)


def _around(context: Context, request: CaptureRequest) -> PlanSteps:
    """A dome or an orbit, kept on the subject's side of walls."""
    subject, view = framed(context), camera_with_lens(context.scene, request.focal_length)
    directions = (rigs.dome if request.source == "DOME" else rigs.orbit)(request.count, request.elevation)
    slopes = view.width / view.fl_x / 2, view.height / view.fl_y / 2
    matrices = rigs.looking_in(subject.points, directions, *slopes, request.margin)
    cameras = [replace(view, camera_to_world=matrix) for matrix in matrices]
    if subject.whole or not request.avoid_walls:
        outside = _left_outside(context, subject, cameras) if subject.whole else ""
        return RigPlan(tuple(map(PlannedCamera, cameras)), len(cameras), _depths(cameras, subject.middle), outside)
    walls, found = Walls(context), []
    for camera in cameras:
        found.append(_before_walls(walls, subject, camera))
        yield
    return RigPlan(tuple(found), _taken(found), _depths([planned.camera for planned in found], subject.middle))


def _taken(found: Sequence[PlannedCamera]) -> int:
    return sum(planned.placing is not Placing.LEFT_OUT for planned in found)


def _depths(cameras: Sequence[Camera], middle: np.ndarray) -> tuple[float, float]:
    """The least and the greatest distance to a subject's middle."""
    distances = np.linalg.norm(np.stack([camera.position for camera in cameras]) - middle, axis=1)
    return float(distances.min()), float(distances.max())


def _before_walls(walls: Walls, subject: Subject, camera: Camera) -> PlannedCamera:
    """The camera where it is when it sees the subject, else in front of the wall between them, else left out."""
    middle, targets = subject.middle, _targets(subject)
    if walls.share_seen(camera.position, targets, subject.objects) >= SEEN:
        return PlannedCamera(camera)
    obstacle = _obstacle(walls, subject, camera)
    way = camera.position - middle
    distance = float(np.linalg.norm(way))
    direction = way / distance
    extent = max(0.0, float(((subject.points - middle) @ direction).max()))
    wall = walls.hit(middle + extent * direction, direction, distance - extent, subject.objects)
    if wall is not None:
        nearer = extent + wall.distance - GAP * distance
        matrix = camera.camera_to_world.copy()
        matrix[:3, 3] = middle + nearer * direction
        room = nearer >= max(NEAREST * distance, OUTSIDE * extent)
        if room and walls.share_seen(matrix[:3, 3], targets, subject.objects) >= SEEN:
            return PlannedCamera(replace(camera, camera_to_world=matrix), Placing.MOVED, obstacle)
    return PlannedCamera(camera, Placing.LEFT_OUT, obstacle)


def _targets(subject: Subject) -> np.ndarray:
    """Points [N, 3] of a subject that its cameras should see."""
    rows = np.unique(np.linspace(0, len(subject.points) - 1, TARGETS).astype(int))
    return subject.middle + SHRUNK * (subject.points[rows] - subject.middle)


def _obstacle(walls: Walls, subject: Subject, camera: Camera) -> str:
    """What a camera is inside of or behind."""
    inside = walls.enclosing(camera.position)
    if inside is not None and inside not in subject.objects:
        return tr("inside {name}", name=inside.name)
    blocked = walls.blocker(camera.position, subject.middle, subject.objects)
    return tr("behind {name}", name=blocked.owner.name) if blocked is not None else tr("the subject is hidden")


def _left_outside(context: Context, subject: Subject, cameras: Sequence[Camera]) -> str:
    """Name of the scene's camera where it stands in a closed room that none of a rig's cameras sees into."""
    own, walls = context.scene.camera, Walls(context)
    if own is None or own.type != "CAMERA":
        return ""
    place = np.array(own.matrix_world.translation)
    low, high = subject.points.min(axis=0), subject.points.max(axis=0)
    reach = float(np.linalg.norm(high - low))
    if not ((low < place) & (place < high)).all() or any(walls.hit(place, direction, reach) is None for direction in AROUND):
        return ""
    return own.name


def _walk(context: Context, request: CaptureRequest) -> PlanSteps:
    """Cameras along a curve, or through the rooms of what is selected, else of everything."""
    view, walls = camera_with_lens(context.scene, request.focal_length), Walls(context)
    if request.path:
        matrices = walks.along(curve_lines(context, request.path), request.count, request.eye_height)
    else:
        points, height = framed(context).points, max(request.eye_height, 1e-3)
        standpoints = yield from standpoint_steps(walls, points.min(axis=0), points.max(axis=0), height)
        matrices = walks.through(standpoints, request.count, 2 * CLEARANCE * height) if standpoints else np.empty((0, 4, 4))
        if not len(matrices):
            raise UserError("No room to walk in was found.", "Lower Eye Height, select the objects of a room, or choose a curve as Path.",
                            "capture.no_room")
    found = []
    for matrix in matrices:
        camera = replace(view, camera_to_world=matrix)
        inside = walls.enclosing(camera.position) if request.path and request.avoid_walls else None
        placing = Placing.WELL if inside is None else Placing.LEFT_OUT
        found.append(PlannedCamera(camera, placing, "" if inside is None else tr("inside {name}", name=inside.name)))
        yield
    found = _but_in_rooms(found, Placing.LEFT_OUT)
    extent = float(np.linalg.norm(np.ptp(matrices[:, :3, 3], axis=0)))
    return RigPlan(tuple(found), _taken(found), (max(request.eye_height, 1e-3), extent + request.eye_height))


def _but_in_rooms(found: Sequence[PlannedCamera], placing: Placing) -> list[PlannedCamera]:
    """Where more than half of several cameras are inside of the same object, that is the room that they stand in."""
    counts = Counter(planned.obstacle for planned in found if planned.placing is placing)
    rooms = {obstacle for obstacle, count in counts.items() if count > 1 and 2 * count > len(found)}
    return [replace(planned, placing=Placing.WELL, obstacle="") if planned.obstacle in rooms else planned for planned in found]


def _views_over_time(context: Context, step: int) -> tuple[list[tuple[str, Camera]], int]:
    """Names and views of animated cameras, each place once, and the number of frames.

    Cameras that something else than their own keys moves are where they are now: only a change of the frame would tell.
    """
    frames = capture_frames(context.scene, step)
    views: dict[tuple[str, bytes], tuple[str, Camera]] = {}
    lenses: dict[bpy.types.Object, Camera] = {}
    for found, frame in zip(animated_cameras(context, frames), frames, strict=True):
        if found not in lenses:
            lenses[found] = camera_from_blender(context.scene, found)
        moved = matrix_at(found, frame)
        camera = lenses[found] if moved is None else replace(lenses[found], camera_to_world=moved)
        views[found.name, camera.camera_to_world.tobytes()] = found.name, camera
    return list(views.values()), len(frames)


def _obstacles(cameras: Sequence[PlannedCamera]) -> str:
    """What cameras are inside of or behind, and how many."""
    counts = Counter(planned.obstacle for planned in cameras).most_common()
    named = [f"{count} {obstacle}" for obstacle, count in counts[:MOST_NAMED]]
    more = sum(count for _, count in counts[MOST_NAMED:])
    return ", ".join(named + ([tr("{count} elsewhere", count=more)] if more else []))
