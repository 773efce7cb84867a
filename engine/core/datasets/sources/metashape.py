"""Metashape's cameras.xml: File > Export > Export Cameras, kind Agisoft XML.

A camera's `transform` is the 4 x 4 matrix from the camera (x right, y down, z forward) to the chunk; the chunk's, or its component's,
turn, scale and place lead to the world, in which points and meshes are exported. Lenses are Brown's as the user manual has them
(appendix "Camera models"): u = w/2 + cx + x' f + x' b1 + y' b2, v = h/2 + cy + y' f, with p1 and p2 changed about against OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from ...cameras.camera import FLIP_YZ
from ...cameras.lenses import Coefficients, Lens, Pinhole, brown_lens, opencv_lens
from ...confinement import admitted
from ...errors import UserError
from ..dataset import Dataset, LeftOut
from .assemble import CameraFile, PosedImage, SourceLens, assemble, pose_of, the_one
from .points import exported_points
from .xml_file import read_xml

USUAL = "cameras.xml"
HEAD = 4096
MEND = "Align the photos in Metashape, then File > Export > Export Cameras, kind Agisoft XML."
MOST_SKEW = 0.5
"""Pixels by which b2 may shear the border of the image; no camera of ours has a shear."""


def find_cameras_xml(path: Path) -> Path | None:
    """The XML that a path is or a folder holds, cameras.xml first; None when there is none. UserError for several."""
    if path.is_file():
        return path if path.suffix.lower() == ".xml" and _is_metashape(path) else None
    found = [file for file in sorted(path.glob("*.[xX][mM][lL]")) if not file.name.startswith(".") and _is_metashape(file)]
    return the_one(path, found, USUAL)


def read_cameras_xml(path: Path) -> Dataset:
    """Read the chunk with most cameras. Photos that were not aligned are named as left out; those that are switched off are passed over."""
    chunks = list(read_xml(path).iter("chunk"))
    chunk = max(chunks, key=lambda chunk: sum(map(_is_posed, _cameras(chunk))), default=Element("chunk"))
    cameras = _cameras(chunk)
    posed = {camera.get("label", ""): camera for camera in reversed(cameras) if _is_posed(camera)}
    unposed = [LeftOut(camera.get("label", "?"), f"{path.name} has no pose for it: it was not aligned")
               for camera in cameras if not _is_posed(camera)]
    sensors, frames = {sensor.get("id", ""): sensor for sensor in chunk.iterfind("sensors/sensor")}, _Frames(chunk)
    labels = [camera.get("label", "") for camera in cameras if _is_posed(camera)]
    return assemble(CameraFile.of(path, path.parent, labels, unposed), lambda name, _: _shot(posed[name], sensors, frames, path),
                    exported_points(path.parent))


def _cameras(chunk: Element) -> list[Element]:
    """The cameras, in groups or not, that are switched on."""
    cameras = chunk.find("cameras")
    found = [] if cameras is None else cameras.iter("camera")
    return [camera for camera in found if camera.get("enabled", "1") not in ("0", "false")]


def _is_posed(camera: Element) -> bool:
    return camera.find("transform") is not None


def _shot(camera: Element, sensors: dict[str, Element], frames: _Frames, path: Path) -> PosedImage:
    name, number = camera.get("label", ""), camera.get("sensor_id", "")
    if number not in sensors:
        raise UserError(f"{name} refers to sensor {number}, which {path.name} does not have.", MEND, "metashape.sensor",
                        image=name, sensor=number, file=path.name)
    sensor = _sensor(sensors[number], path)
    matrix = np.reshape(_numbers(camera.find("transform"), 16, f"The transform of {name}"), (4, 4))
    pose = frames.to_world(matrix, camera.get("component_id"))
    return sensor.posed(pose @ FLIP_YZ)


class _Frames:
    """Where the chunk, or each of its components, lies in the world."""

    def __init__(self, chunk: Element):
        self.chunk = _Similarity.read(chunk.find("transform"))
        self.components = {component.get("id"): _Similarity.read(component.find("transform"))
                           for component in chunk.iterfind("components/component") if component.find("transform") is not None}

    def to_world(self, matrix: np.ndarray, component: str | None) -> np.ndarray:
        """camera_to_world [4, 4] of a camera's matrix."""
        frame = self.components.get(component, self.chunk)
        return pose_of(frame.rotation @ matrix[:3, :3], frame.scale * frame.rotation @ matrix[:3, 3] + frame.translation)


@dataclass(frozen=True)
class _Similarity:
    rotation: np.ndarray  # [3, 3]
    scale: float
    translation: np.ndarray  # [3]

    @staticmethod
    def read(element: Element | None) -> _Similarity:
        """What an element says; what it leaves out is nothing."""
        rotation, translation, scale = (None if element is None else element.find(name) for name in ("rotation", "translation", "scale"))
        return _Similarity(
            np.eye(3) if rotation is None else np.reshape(_numbers(rotation, 9, "The chunk's rotation"), (3, 3)),
            1.0 if scale is None else _numbers(scale, 1, "The chunk's scale")[0],
            np.zeros(3) if translation is None else np.array(_numbers(translation, 3, "The chunk's translation")))


def _sensor(sensor: Element, path: Path) -> SourceLens:
    size = sensor.find("resolution")
    calibrations = sensor.findall("calibration")
    found = next((each for each in calibrations if each.get("class") == "adjusted"), calibrations[-1] if calibrations else None)
    kind = sensor.get("type", "frame") if found is None else found.get("type", sensor.get("type", "frame"))
    where = f"Sensor {sensor.get('id')} of {path.name}"
    if size is None or kind not in ("frame", "fisheye", "spherical") or (found is None and kind != "spherical"):
        raise UserError(f"{where} has no lens that is read: {kind}{'' if found is not None else ', not calibrated'}.",
                        "Export undistorted images with their cameras: Export Cameras, kind Colmap.", "metashape.lens",
                        where=where, kind=kind, found="" if found is not None else ', not calibrated')
    width, height = (int(_number(size.get(side, ""), f"The {side} of {where}")) for side in ("width", "height"))
    if found is None or kind == "spherical":
        return SourceLens(width, height, panorama=True)
    return SourceLens(width, height, False, *_lens(found, kind, (width, height), where))


def _lens(calibration: Element, kind: str, size: tuple[int, int], where: str) -> tuple[Pinhole, Coefficients]:
    n = {name: 0.0 if (element := calibration.find(name)) is None else _numbers(element, 1, f"{name} of {where}")[0]
         for name in ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2")}
    if n["f"] <= 0:
        raise UserError(f"{where} has no focal length.", MEND, "metashape.focal", where=where)
    if abs(n["b2"]) * size[1] / 2 / n["f"] > MOST_SKEW:
        raise UserError(f"{where} has sheared pixels (b2 = {n['b2']:.4g}), which training cannot follow.",
                        "Fix B2 at zero in Tools > Camera Calibration and optimize the cameras, or export undistorted images.",
                        "metashape.skew", where=where, skew=n["b2"])
    pinhole = (n["f"] + n["b1"], n["f"], size[0] / 2 + n["cx"], size[1] / 2 + n["cy"])
    p1, p2 = n["p2"], n["p1"]
    if kind == "fisheye":
        return opencv_lens(Lens("THIN_PRISM_FISHEYE", *size, (*pinhole, n["k1"], n["k2"], p1, p2, n["k3"], n["k4"], 0.0, 0.0)))
    return brown_lens(size, pinhole, (n["k1"], n["k2"], n["k3"], n["k4"]), (p1, p2))


def _number(word: str, what: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UserError(f"{what} is no number: {word}.", MEND, "metashape.number", what=what, word=word) from None


def _numbers(element: Element | None, count: int, what: str) -> Sequence[float]:
    words = [] if element is None or element.text is None else element.text.split()
    if len(words) != count:
        raise UserError(f"{what} does not hold {count} numbers: {' '.join(words)[:200]}.", MEND, "metashape.numbers",
                        what=what, count=count, words=" ".join(words)[:200])
    return [_number(word, what) for word in words]


def _is_metashape(path: Path) -> bool:
    try:
        with open(admitted(path), "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return b"<document" in head and b"<chunk" in head
