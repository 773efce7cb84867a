"""Cameras of other programs: every format's own text says where known points fall, turned about all three axes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.cameras.distortion import distort
from engine.core.datasets.dataset import Dataset, PointCloud, View
from engine.core.datasets.points_ply import write_points
from engine.core.datasets.read import SOURCES, read_dataset
from engine.core.errors import UserError

W, H = 120, 80
COUNT = 9
RNG = np.random.default_rng(7)
POINTS = RNG.uniform(-0.5, 0.5, (12, 3))
"""Before every camera, in its own frame of the format."""


def turn(x: float, y: float, z: float) -> np.ndarray:
    """Rz Ry Rx, in degrees."""
    (cx, cy, cz), (sx, sy, sz) = (tuple(f(math.radians(a)) for a in (x, y, z)) for f in (math.cos, math.sin))
    about_x, about_y = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]), np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]) @ about_y @ about_x


TURNS = [turn(20 + 37 * i, -35 + 11 * i, 15 + 53 * i) for i in range(COUNT)]
"""OpenCV camera to the format's world."""
PLACES = [np.array([1.0 + i, -2.0 + 0.5 * i, 0.7 * i - 1.0]) for i in range(COUNT)]
NAMES = [f"photo_{i}.png" for i in range(COUNT)]


def ahead(index: int) -> np.ndarray:
    """Points [12, 3] of the format's world some units before a camera."""
    return (POINTS + np.array([0, 0, 3.0])) @ TURNS[index].T + PLACES[index]


def seen_at(index: int, world: np.ndarray) -> np.ndarray:
    """Points of the format's world in a camera's frame: x right, y down, z forward [N, 3]."""
    return (world - PLACES[index]) @ TURNS[index]


def pixels(camera: Camera, world: np.ndarray) -> np.ndarray:
    """What our own camera says, distortion included."""
    viewmat = camera.viewmat
    local = world @ viewmat[:3, :3].T + viewmat[:3, 3]
    assert (local[:, 2] > 0).all()
    return distort(local[:, :2] / local[:, 2:], camera.distortion) * [camera.fl_x, camera.fl_y] + [camera.cx, camera.cy]


def images(folder: Path, names: list[str] = NAMES, size: tuple[int, int] = (W, H)) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (90, 120, 30)).save(folder / name)
    return folder


def check(dataset: Dataset, world: Callable[[np.ndarray], np.ndarray], expected: Callable[[int], np.ndarray], within: float = 0.05) -> None:
    """Every camera sees the points where the format says; `world` leads from the format's to Blender's."""
    assert sorted(view.name.rpartition("/")[2].removesuffix(".png") for view in dataset.views) == [name[:-4] for name in NAMES]
    assert len(dataset.eval_views) == 2
    for view in dataset.views:
        index = int(view.name.removesuffix(".png").rpartition("_")[2])
        assert np.abs(pixels(view.camera, world(ahead(index))) - expected(index)).max() < within, view.name


def as_it_is(points: np.ndarray) -> np.ndarray:
    return points


def y_down(points: np.ndarray) -> np.ndarray:
    """COLMAP's world in Blender's: (x, y, z) -> (x, z, -y)."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)


def y_up(points: np.ndarray) -> np.ndarray:
    """ARKit's world in Blender's: (x, y, z) -> (x, -z, y)."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def brown(local: np.ndarray, k: tuple[float, float, float, float], p1: float, p2: float) -> np.ndarray:
    """Brown's lens with OpenCV's p1 and p2, written out point by point."""
    out = []
    for x, y in local[:, :2] / local[:, 2:]:
        r = math.hypot(x, y)
        radial = 1 + k[0] * r**2 + k[1] * r**4 + k[2] * r**6 + k[3] * r**8
        out.append([x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2), y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y])
    return np.array(out)


# RealityScan: its own EulerRotation(y, p, r) of the knowledge base, world to camera.


def reality_matrix(y: float, p: float, r: float) -> np.ndarray:
    (cz, cy, cx), (sz, sy, sx) = (tuple(f(math.radians(a)) for a in (y, p, r)) for f in (math.cos, math.sin))
    return np.array([[cx * cz + sx * sy * sz, -cx * sz + cz * sx * sy, -cy * sx], [-cy * sz, -cy * cz, -sy],
                     [cx * sy * sz - cz * sx, cx * cz * sy + sx * sz, -cx * cy]])


def reality_angles(matrix: np.ndarray) -> tuple[float, float, float]:
    """Heading, pitch and roll of a matrix from the world to the camera, by its entries above."""
    return (math.degrees(math.atan2(-matrix[1, 0], -matrix[1, 1])), math.degrees(math.asin(-matrix[1, 2])),
            math.degrees(math.atan2(-matrix[0, 2], -matrix[2, 2])))


def test_realityscan(tmp_path: Path) -> None:
    images(tmp_path)
    k, t = (0.02, -0.03, 0.01, 0.004), (0.001, -0.002)
    rows = ["#cameras 9", "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"]
    for i, name in enumerate(NAMES):
        angles = reality_angles(TURNS[i].T)
        assert np.allclose(reality_matrix(*angles), TURNS[i].T)
        rows.append(",".join(map(str, (name, *PLACES[i], *angles, 30.0, 0.01, -0.02, *k, *t))))
    (tmp_path / "any.csv").write_text("\n".join(rows) + "\n")
    write_points(tmp_path / "points.ply", PointCloud(ahead(0).astype(np.float32), np.zeros((12, 3), np.uint8)))
    found = read_dataset(tmp_path)
    check(found, as_it_is, lambda i: brown(seen_at(i, ahead(i)), k, *t) * 30.0 / 36 * W + [W / 2 + 0.01 * W, H / 2 - 0.02 * W])
    assert found.points is not None and np.allclose(found.points.positions, ahead(0), atol=1e-5)
    assert len(read_dataset(tmp_path / "any.csv").views) == COUNT


def test_realityscan_as_the_program_wrote_it() -> None:
    """A camera that was published both as XMP (a matrix) and as CSV (angles), on Epic's forum, 710449."""
    from engine.core.datasets.sources.realityscan import rotation

    xmp = np.array([[0.982594073038806, 0.185426733553445, -0.0112166890261935], [-0.032113633044729, 0.11008102707942, -0.993403685341366],
                    [-0.18296885582437, 0.976472781986697, 0.114]])  # the last number was published shortened
    found = rotation(163.736597399311, 83.4154313461628, 174.386496244756)
    assert np.abs(np.diag([1, -1, -1]) @ found.T - xmp).max() < 2e-4


@pytest.mark.parametrize("text, message", [
    ("#name,x,y,alt,heading,pitch,roll,f\nphoto_0.png,1,2,3,4,5\n", "Line 2 of c.csv is no camera"),
    ("#name,x,y,alt,heading,pitch,roll,f\nphoto_0.png,1,2,3,4,five,6,7\n", "Line 2 of c.csv is no camera"),
    ("#name,x,y,alt,heading,pitch,roll,f\n", "c.csv holds no cameras"),
    ("#name,x,y,alt,heading,pitch,roll\nphoto_0.png,1,2,3,4,5,6\n", "c.csv holds poses without focal lengths"),
    ("#name,x,y,alt,heading,pitch,roll,f\nother.png,1,2,3,4,5,6,7\n", "None of the 1 images that c.csv names lies"),
    ("#name,x,y,alt,heading,pitch,roll,f\nphoto_0.png,nan,2,3,4,5,6,7\n", "photo_0.png in c.csv is without a valid pose: .* nan"),
    ("#name,x,y,alt,heading,pitch,roll,f\nphoto_0.png,1,2,3,4,5,6,0\n", "photo_0.png in c.csv has impossible intrinsics: 120 80 0 0"),
])
def test_realityscan_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    images(tmp_path, NAMES[:1])
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_dataset(tmp_path)


# Metashape: u = w/2 + cx + x' f + x' b1 + y' b2 and v = h/2 + cy + y' f of the user manual, whose P1 and P2 are OpenCV's p2 and p1.

SCALE, CHUNK_TURN, CHUNK_PLACE = 2.5, turn(10, 20, 30), np.array([5.0, 6.0, 7.0])


def metashape(sensor: str, groups: bool = False, component: bool = False, extra: str = "") -> str:
    def row(values: np.ndarray) -> str:
        return " ".join(repr(float(value)) for value in np.ravel(values))

    cameras = []
    for i, name in enumerate(NAMES):
        matrix = np.eye(4)  # camera to chunk, so that chunk to world gives TURNS and PLACES
        matrix[:3, :3], matrix[:3, 3] = CHUNK_TURN.T @ TURNS[i], CHUNK_TURN.T @ (PLACES[i] - CHUNK_PLACE) / SCALE
        cameras.append(f'<camera id="{i}" sensor_id="3" component_id="0" label="{name[:-4]}"><transform>{row(matrix)}</transform></camera>')
    frame = (f"<transform><rotation>{row(CHUNK_TURN)}</rotation><translation>{row(CHUNK_PLACE)}</translation>"
             f"<scale>{SCALE}</scale></transform>")
    joined = "".join(cameras) + extra
    place = f'<components><component id="0">{frame}</component></components>' if component else frame
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<document version="2.0.0"><chunk label="Chunk 1"><sensors>{sensor}</sensors><cameras>'
            f'{f"<group>{joined}</group>" if groups else joined}</cameras>{place}</chunk></document>')


def sensor_of(kind: str, numbers: dict[str, float]) -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in numbers.items())
    return (f'<sensor id="3" type="{kind}"><resolution width="{W}" height="{H}"/><calibration type="{kind}" class="initial"><f>1</f>'
            f'</calibration><calibration type="{kind}" class="adjusted">{inner}</calibration></sensor>')


@pytest.mark.parametrize("component", [False, True])
def test_metashape(tmp_path: Path, component: bool) -> None:
    images(tmp_path / "images")
    n = {"f": 100.0, "cx": 3.0, "cy": -2.0, "b1": 1.5, "b2": 0.0,
         "k1": 0.02, "k2": -0.03, "k3": 0.01, "k4": 0.004, "p1": 0.001, "p2": -0.002}
    others = ('<camera id="99" sensor_id="3" label="photo_99" enabled="false"><transform>1</transform></camera>'
              '<camera id="98" label="unaligned"/>')
    (tmp_path / "cameras.xml").write_text(metashape(sensor_of("frame", n), component, component, others))

    def manual(i: int) -> np.ndarray:
        out = []
        for x, y in (lambda p: p[:, :2] / p[:, 2:])(seen_at(i, ahead(i))):
            r = math.hypot(x, y)
            radial = 1 + n["k1"] * r**2 + n["k2"] * r**4 + n["k3"] * r**6 + n["k4"] * r**8
            bent_x = x * radial + n["p1"] * (r**2 + 2 * x**2) + 2 * n["p2"] * x * y
            bent_y = y * radial + n["p2"] * (r**2 + 2 * y**2) + 2 * n["p1"] * x * y
            out.append([W / 2 + n["cx"] + bent_x * n["f"] + bent_x * n["b1"] + bent_y * n["b2"], H / 2 + n["cy"] + bent_y * n["f"]])
        return np.array(out)

    found = read_dataset(tmp_path)
    check(found, as_it_is, manual)
    assert [(each.name, each.reason) for each in found.left_out] == [("unaligned", "cameras.xml has no pose for it: it was not aligned")]


def test_metashape_fisheye(tmp_path: Path) -> None:
    images(tmp_path)
    (tmp_path / "cameras.xml").write_text(metashape(sensor_of("fisheye", {"f": 60.0, "cx": 1.0, "cy": 2.0, "k1": 0.01, "k2": -0.004})))

    def manual(i: int) -> np.ndarray:
        local = seen_at(i, ahead(i))
        radius = np.hypot(local[:, 0], local[:, 1])
        angle = np.arctan2(radius, local[:, 2])
        bent = local[:, :2] / radius[:, None] * (angle * (1 + 0.01 * angle**2 - 0.004 * angle**4))[:, None]
        return bent * 60.0 + [W / 2 + 1.0, H / 2 + 2.0]

    check(read_dataset(tmp_path), as_it_is, manual)


@pytest.mark.parametrize("text, message", [
    ("<document><chunk/></document>", "cameras.xml holds no cameras"),
    ("<document><chunk>", "is no valid XML"),
    ('<!DOCTYPE a [<!ENTITY b "c">]><document><chunk>&b;</chunk></document>', "declares a document type"),
    ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><document><chunk/></document>', "declares a document type"),
    (metashape(sensor_of("frame", {"f": 100, "b2": 4.0})), "sheared pixels"),
    (metashape(sensor_of("frame", {"f": 0})), "no focal length"),
    (metashape('<sensor id="4"/>'), "refers to sensor 3"),
    (metashape(sensor_of("cylindrical", {"f": 100})), "no lens that is read: cylindrical"),
    (metashape(f'<sensor id="3" type="frame"><resolution width="{W}" height="{H}"/></sensor>'), "not calibrated"),
])
def test_metashape_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    images(tmp_path)
    (tmp_path / "cameras.xml").write_text(text)
    with pytest.raises(UserError, match=message):
        read_dataset(tmp_path)


# OpenSfM: "Geometric Models" of its documentation.


def axis_angle(matrix: np.ndarray) -> list[float]:
    angle = math.acos((np.trace(matrix) - 1) / 2)
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) / (2 * math.sin(angle))
    return (angle * axis).tolist()


def opensfm(camera: dict[str, object]) -> str:
    shots = {name: {"camera": "c", "rotation": axis_angle(TURNS[i].T), "translation": (-TURNS[i].T @ PLACES[i]).tolist()}
             for i, name in enumerate(NAMES)}
    model = {"cameras": {"c": {"width": W, "height": H, **camera}}, "shots": shots,
             "points": {"1": {"color": [10.0, 20.0, 30.0], "coordinates": [1.0, 2.0, 3.0]}}}
    return json.dumps([{"cameras": {}, "shots": {}, "points": {}}, model])


@pytest.mark.parametrize("place", ["opensfm", "."])
@pytest.mark.parametrize("kind", ["perspective", "brown", "fisheye"])
def test_opensfm(tmp_path: Path, kind: str, place: str) -> None:
    images(tmp_path / "images")
    k = (0.02, -0.03, 0.01, 0.0)
    lens: dict[str, object] = {"projection_type": kind, "focal": 0.9, "k1": k[0], "k2": k[1]}
    if kind == "brown":
        lens = {"projection_type": kind, "focal_x": 0.9, "focal_y": 0.95, "c_x": 0.01, "c_y": -0.02, "k1": k[0], "k2": k[1], "k3": k[2],
                "p1": 0.001, "p2": -0.002}
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "reconstruction.json").write_text(opensfm(lens))

    def documented(i: int) -> np.ndarray:
        local = seen_at(i, ahead(i))
        if kind == "fisheye":
            radius = np.hypot(local[:, 0], local[:, 1])
            angle = np.arctan2(radius, local[:, 2])
            bent = local[:, :2] / radius[:, None] * (0.9 * angle * (1 + k[0] * angle**2 + k[1] * angle**4))[:, None]
        elif kind == "brown":
            bent = brown(local, k, 0.001, -0.002) * [0.9, 0.95] + [0.01, -0.02]
        else:
            bent = brown(local, (*k[:2], 0.0, 0.0), 0.0, 0.0) * 0.9
        return bent * max(W, H) + [W / 2, H / 2]

    found = read_dataset(tmp_path)
    check(found, as_it_is, documented)
    assert found.points is not None and found.points.positions.tolist() == [[1, 2, 3]] and found.points.colors.tolist() == [[10, 20, 30]]


def test_opensfm_as_the_program_wrote_it() -> None:
    """Shot 02.jpg and points of OpenSfM's own data/berlin lie before the camera and within the image."""
    from engine.core.datasets.sources.opensfm import axis_angle_matrix

    turned = axis_angle_matrix(np.array([1.2940695283700199, -0.39214506990022585, 0.48363132932553921]))
    shift = np.array([0.19287960609884439, 2.0784473237458099, 0.73166782563733967])
    points = np.array([[26.955467688974434, 20.000754767076049, 9.6284410193327243],
                       [8.1857651349243206, 32.093583558887708, 17.556632229880599],
                       [22.270307324195045, 20.391112968456145, 2.6251675477945851],
                       [2.8761388203340421, 29.876117180915287, 7.1112804833696543]])
    local = points @ turned.T + shift
    seen = local[:, :2] / local[:, 2:] * 0.9604884463403544
    assert (local[:, 2] > 0).all() and (np.abs(seen) < [0.5, 0.375]).all()


# cameras.json: the viewer antimatter15/splat puts it into its matrices so.


def viewer_matrix(position: list[float], rotation: list[list[float]]) -> np.ndarray:
    """World to camera as main.js fills it in, column after column."""
    r, t = [value for row in rotation for value in row], position
    columns = [[r[0], r[1], r[2], 0], [r[3], r[4], r[5], 0], [r[6], r[7], r[8], 0],
               [-t[0] * r[i] - t[1] * r[3 + i] - t[2] * r[6 + i] for i in range(3)] + [1]]
    return np.array(columns, float).T


@pytest.mark.parametrize("suffix", [".png", ""])
def test_cameras_json(tmp_path: Path, suffix: str) -> None:
    images(tmp_path / "images")
    listed = [{"id": i, "img_name": name[:-4] + suffix, "width": W, "height": H, "position": PLACES[i].tolist(),
               "rotation": TURNS[i].tolist(), "fx": 100.0, "fy": 101.0} for i, name in enumerate(NAMES)]
    (tmp_path / "cameras.json").write_text(json.dumps(listed))
    write_points(tmp_path / "input.ply", PointCloud(ahead(0).astype(np.float32), np.zeros((12, 3), np.uint8)))

    def viewer(i: int) -> np.ndarray:
        local = np.column_stack([ahead(i), np.ones(12)]) @ viewer_matrix(PLACES[i].tolist(), TURNS[i].tolist()).T
        return local[:, :2] / local[:, 2:3] * [100.0, 101.0] + [W / 2, H / 2]

    found = read_dataset(tmp_path)
    check(found, y_down, viewer)
    assert found.points is not None and np.allclose(found.points.positions, y_down(ahead(0)), atol=1e-5)


# Polycam: rows of camera to ARKit's world, OpenGL's camera axes.


@pytest.mark.parametrize("kinds", [("corrected_cameras", "corrected_images"), ("cameras", "images")])
def test_polycam(tmp_path: Path, kinds: tuple[str, str]) -> None:
    root = tmp_path / "keyframes"
    images(root / kinds[1])
    images(root / "depth", [NAMES[0]], (W // 4, H // 4))
    images(root / "depth", [NAMES[1]], (W // 4, W // 4))
    (root / kinds[0]).mkdir(parents=True)
    for i, name in enumerate(NAMES):
        axes = TURNS[i] @ np.diag([1, -1, -1])
        values: dict[str, float] = {"fx": 100, "fy": 101, "cx": 61, "cy": 39, "width": W, "height": H, "blur_score": 99}
        values |= {f"t_{row}{column}": float(axes[row, column]) for row in range(3) for column in range(3)}
        values |= {f"t_{row}3": float(PLACES[i][row]) for row in range(3)}
        (root / kinds[0] / f"{name[:-4]}.json").write_text(json.dumps(values))
    found = read_dataset(tmp_path)
    check(found, y_up, lambda i: (lambda p: p[:, :2] / p[:, 2:] * [100, 101] + [61, 39])(seen_at(i, ahead(i))))
    assert [view.depth is not None for view in found.views[:2]] == [True, False], "a map of another shape is none of the image"
    assert len(read_dataset(root).views) == COUNT


# LLFF: columns down, right, backwards, place, and (height, width, focal).


@pytest.mark.parametrize("place", ["images", "images_4", "."])
def test_llff(tmp_path: Path, place: str) -> None:
    images(tmp_path / place)
    rows = []
    for i in range(COUNT):
        right, down, forward = TURNS[i].T
        rows.append([*np.stack([down, right, -forward, PLACES[i], [H, W, 100.0]], axis=1).ravel(), 1.0, 9.0])
    np.save(tmp_path / "poses_bounds.npy", np.array(rows))
    check(read_dataset(tmp_path), y_down, lambda i: (lambda p: p[:, :2] / p[:, 2:] * 100 + [W / 2, H / 2])(seen_at(i, ahead(i))))


@pytest.mark.parametrize("rows, message", [
    (np.zeros((2, 17)), "its size or its focal length is zero"), (np.zeros((3, 17)), "3 poses, and there are"),
    (np.zeros((2, 5)), "does not hold rows of 17"), (np.array([{}, {}]), "is no array of numbers")])
def test_llff_says_what_is_wrong(tmp_path: Path, rows: np.ndarray, message: str) -> None:
    images(tmp_path, NAMES[:2])
    np.save(tmp_path / "poses_bounds.npy", rows, allow_pickle=True)
    with pytest.raises(UserError, match=message):
        read_dataset(tmp_path)


# NeRF-synthetic and BlenderNeRF.


def split_file(folder: Path, name: str, numbers: list[int], blender_nerf: bool) -> None:
    common: dict[str, object] = {"camera_angle_x": 2 * math.atan(W / 2 / 100.0)}
    if blender_nerf:
        common |= {"fl_x": 100.0, "fl_y": 101.0, "cx": 61.0, "cy": 39.0, "w": float(W), "h": float(H), "k1": 0.0, "aabb_scale": 16}
    frames = []
    for i in numbers:
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = TURNS[i % COUNT] @ np.diag([1, -1, -1]), PLACES[i % COUNT]
        file = f"./{name}/photo_{i}{'.png' if blender_nerf else ''}"
        frames.append({"file_path": file, "rotation": 0.01, "transform_matrix": pose.tolist()})
    (folder / f"transforms_{name}.json").write_text(json.dumps({**common, "frames": frames}))
    images(folder / name, [f"photo_{i}.png" for i in numbers])


@pytest.mark.parametrize("blender_nerf", [False, True])
@pytest.mark.parametrize("held_out", ["test", "val"])
def test_split_of_nerf_synthetic(tmp_path: Path, held_out: str, blender_nerf: bool) -> None:
    split_file(tmp_path, "train", [0, 1, 2, 4, 5, 6, 8], blender_nerf)
    split_file(tmp_path, held_out, [3, 7], blender_nerf)
    if held_out == "test":
        split_file(tmp_path, "val", [0, 1, 2], blender_nerf)
    found = read_dataset(tmp_path)
    lens = ([100.0, 101.0], [61.0, 39.0]) if blender_nerf else ([100.0, 100.0], [W / 2, H / 2])
    check(found, as_it_is, lambda i: (lambda p: p[:, :2] / p[:, 2:] * lens[0] + lens[1])(seen_at(i, ahead(i))))
    assert {view.name for view in found.eval_views} == {f"{held_out}/photo_3.png", f"{held_out}/photo_7.png"}


def test_a_split_that_was_never_rendered_is_none(tmp_path: Path) -> None:
    split_file(tmp_path, "train", list(range(8)), True)
    split_file(tmp_path, "test", [8, 9], True)
    for path in (tmp_path / "test").iterdir():
        path.unlink()
    found = read_dataset(tmp_path)
    assert len(found.views) == 8 and len(found.eval_views) == 1 and not found.missing


def test_the_table_names_every_kind_once() -> None:
    names = [source.name for source in SOURCES]
    assert len(set(names)) == len(names) == 10


def test_one_folder_down(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    split_file((inner.mkdir(parents=True), inner)[1], "train", [0, 1, 2, 3], False)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "a" / ".hidden").mkdir()
    assert read_dataset(tmp_path).folder == inner
    split_file(((tmp_path / "c").mkdir(), tmp_path / "c")[1], "train", [0, 1, 2, 3], False)
    (tmp_path / "d").mkdir()
    split_file(tmp_path / "d", "train", [0, 1, 2, 3], False)
    with pytest.raises(UserError, match="holds 2 datasets: c, d"):
        read_dataset(tmp_path)


def test_a_view_of_the_whole_image_has_no_side() -> None:
    assert View("a", Path("a"), Camera(1, 1, 1, 1, 0, 0, np.eye(4))).face == ""


BAD: dict[str, tuple[str, Callable[[str], str], str]] = {
    "RealityScan": ("c.csv", lambda text: text.replace("photo_4.png,5.0,", "photo_4.png,five,"), "Line 6 of c.csv is no camera"),
    "Metashape": ("cameras.xml", lambda text: text.replace('label="photo_4"><transform>', 'label="photo_4"><transform>nan '),
                  "The transform of photo_4 does not hold 16 numbers: nan"),
    "OpenSfM": ("reconstruction.json", lambda text: text.replace('4.png": {"camera": "c", "rotation": [',
                                                                 '4.png": {"camera": "c", "rotation": [NaN,'), "photo_4.png in recon"),
    "cameras.json": ("cameras.json", lambda text: text.replace('"img_name": "photo_4.png", "width"', '"img_name": "photo_4.png", "wide"'),
                     "Camera 5 of cameras.json lacks a value, or holds one that is no number: 'width'"),
}


def whole_file(kind: str) -> str:
    """A sound file of cameras of each kind."""
    match kind:
        case "RealityScan":
            rows = [",".join(map(str, (name, *PLACES[i], *reality_angles(TURNS[i].T), 30.0))) for i, name in enumerate(NAMES)]
            return "\n".join(["#name,x,y,alt,heading,pitch,roll,f", *rows])
        case "Metashape":
            return metashape(sensor_of("frame", {"f": 100.0}))
        case "OpenSfM":
            return opensfm({"projection_type": "perspective", "focal": 0.9})
        case _:
            return json.dumps([{"img_name": name, "width": W, "height": H, "position": PLACES[i].tolist(), "rotation": TURNS[i].tolist(),
                                "fx": 100.0, "fy": 100.0} for i, name in enumerate(NAMES)])


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_entry_costs_that_entry(tmp_path: Path, kind: str) -> None:
    name, spoil, reason = BAD[kind]
    images(tmp_path)
    (tmp_path / name).write_text(whole_file(kind))
    whole = read_dataset(tmp_path)
    assert len(whole.views) == COUNT and not whole.left_out
    spoiled = spoil(whole_file(kind))
    assert spoiled != whole_file(kind)
    (tmp_path / name).write_text(spoiled)
    found = read_dataset(tmp_path)
    assert len(found.views) == COUNT - 1 and len(found.left_out) == 1
    assert found.left_out[0].name.startswith("photo_4") and found.left_out[0].reason.startswith(reason)
    assert [view.name for view in found.eval_views] == [view.name for view in whole.eval_views], "the split is made before"


@pytest.mark.parametrize("kind", BAD)
def test_images_and_masks_are_looked_for_as_everywhere(tmp_path: Path, kind: str) -> None:
    images(tmp_path / "images", [f"PHOTO_{i}.JPG" for i in range(COUNT - 1)])
    images(tmp_path / "masks", ["photo_3.png"])
    (tmp_path / BAD[kind][0]).write_text(whole_file(kind))
    found = read_dataset(tmp_path)
    assert len(found.views) == COUNT - 1 and [Path(name).stem for name in found.missing] == ["photo_8"]
    assert [view.image.name.upper() for view in found.views if view.mask] == ["PHOTO_3.JPG"]


@pytest.mark.parametrize("values", [{"x_fov": 2 * math.degrees(math.atan(W / 2 / 100.0))}, {"fl_x": 100.0, "k4": 0.004, "k1": 0.02},
                                    {"fl_x": 100.0, "camera_model": "opencv"}], ids=["x_fov", "k4", "lower case"])
def test_what_transforms_json_may_say(tmp_path: Path, values: dict[str, object]) -> None:
    """instant-ngp's x_fov in degrees, nerfstudio's k4, matrices of three rows."""
    images(tmp_path)
    frames = [{"file_path": name, "transform_matrix": np.column_stack([turned @ np.diag([1, -1, -1]), place]).tolist()}
              for name, turned, place in zip(NAMES, TURNS, PLACES, strict=True)]
    (tmp_path / "transforms.json").write_text(json.dumps({**values, "w": W, "h": H, "frames": frames}))
    k = (float(str(values.get("k1", 0.0))), 0.0, 0.0, float(str(values.get("k4", 0.0))))
    check(read_dataset(tmp_path), as_it_is, lambda i: brown(seen_at(i, ahead(i)), k, 0.0, 0.0) * 100.0 + [W / 2, H / 2])
