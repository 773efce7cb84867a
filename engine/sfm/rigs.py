"""The cuts of panoramas as frames of a rig in COLMAP's database: all look from one place, turned against each other as they were cut.

Runs in the child process.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pycolmap

from ..core.cameras.camera import FLIP_YZ
from ..core.cameras.panorama import FACES
from .exchange import CameraGroup, SearchRequest


def apply_rigs(request: SearchRequest, work: Path) -> None:
    """Note in the database which images are cuts of one panorama; nothing where none is."""
    rigs: dict[str, list[CameraGroup]] = defaultdict(list)
    for group in request.groups:
        if group.face:
            rigs[group.rig].append(group)
    configs = [pycolmap.RigConfig(cameras=[_camera(group, rig[0]) for group in rig]) for rig in rigs.values() if len(rig) > 1]
    if configs:
        with pycolmap.Database.open(work / request.database) as database:
            pycolmap.apply_rig_config(configs, database)


def _camera(group: CameraGroup, first: CameraGroup) -> pycolmap.RigConfigCamera:
    """A side of the cube; the rig looks where the first one does."""
    prefix = group.images[0].partition("/")[0] + "/"
    if group is first:
        return pycolmap.RigConfigCamera(ref_sensor=True, image_prefix=prefix)
    turn = pycolmap.Rotation3d(_to_face(group.face) @ _to_face(first.face).T)
    return pycolmap.RigConfigCamera(ref_sensor=False, image_prefix=prefix, cam_from_rig=pycolmap.Rigid3d(turn, np.zeros(3)))


def _to_face(face: str) -> np.ndarray:
    """The turn [3, 3] from the panorama's camera to a cut's, in OpenCV's axes."""
    return (FLIP_YZ @ FACES[face] @ FLIP_YZ)[:3, :3].T
