"""Splats, cameras and photos in a browser, with viser; a file that changes, as a running training's preview does, is read again."""

from __future__ import annotations

import ipaddress
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from .core.cameras.distortion import undistorted_camera
from .core.datasets.dataset import View
from .core.errors import UserError
from .core.formats.registry import read_splats
from .core.splats.gaussians import Gaussians, sh0_to_rgb
from .core.splats.transform import quat_from_matrix, rotation_matrices
from .training.data.images import area_average
from .training.data.view_files import ViewFiles

PHOTO_SIDE = 160
"""Longest side in pixels of the photos in front of their cameras."""

FRUSTUM_SHARE = 0.04
"""Size of a camera as a share of the distance from the cameras' middle."""

STAND = 0.7
"""Share of the first camera's distance at which people begin to look: its photo is behind them."""

POLL_SECONDS = 0.5
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0])

FileOf = Callable[[], Path | None]
"""The file to show at this moment; None while there is none yet."""


@dataclass
class Viewer:
    """A page that shows one splat file."""

    server: Any
    file_of: FileOf
    views: Sequence[View] = ()
    shown: tuple[Path, int, int] | None = None  # the file, its time in nanoseconds, its size
    frusta: list[Any] = field(default_factory=list)
    loads: int = 0
    status: Any = None

    @property
    def port(self) -> int:
        return self.server.get_port()

    def begin(self) -> None:
        """Build the page."""
        self.server.scene.set_up_direction("+z")
        self.status = self.server.gui.add_markdown("Waiting for the first splats …")
        if self.views:
            self.frusta = list(add_cameras(self.server, self.views))
            self._add_switch()
            self._stand_at(self.views[0])

    def refresh(self) -> bool:
        """Read the file again if it changed; whether it did. A file that is half there is left for the next time."""
        path = self.file_of()
        stamp = _stamp(path)
        if path is None or stamp is None or stamp == self.shown:
            return False
        try:
            gaussians = read_splats(path, upright=False).gaussians  # cameras may stand beside them
        except UserError as error:
            self.status.content = f"{error.message} {error.hint}"
            return False
        show_splats(self.server, gaussians)
        self.shown, self.loads = stamp, self.loads + 1
        self.status.content = f"**{path.name}**: {len(gaussians):,} Gaussians"
        return True

    def serve(self, seconds: float = math.inf) -> None:
        """Follow the file until Ctrl+C, or for so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.refresh()
            time.sleep(min(POLL_SECONDS, max(0.0, end - time.monotonic())))

    def _add_switch(self) -> None:
        switch = self.server.gui.add_checkbox("Cameras and photos", initial_value=True)

        @switch.on_update
        def _(event: object) -> None:
            for frustum in self.frusta:
                frustum.visible = switch.value

    def _stand_at(self, view: View) -> None:
        """Everybody who opens the page sees the scene as the first photo does."""
        pose = view.camera.camera_to_world
        middle = focus([seen.camera.camera_to_world for seen in self.views])

        @self.server.on_client_connect
        def _(client: Any) -> None:
            client.camera.position = tuple(middle + STAND * (pose[:3, 3] - middle))
            client.camera.look_at = tuple(middle)
            client.camera.fov = 2 * math.atan(0.5 * view.camera.height / view.camera.fl_y)


@contextmanager
def viewing(file_of: FileOf, views: Sequence[View] = (), host: str = "127.0.0.1", port: int = 8080) -> Iterator[Viewer]:
    """A viewer that listens, until the with block ends. UserError without viser, or where the address cannot be had."""
    try:
        import viser
    except ImportError:
        raise UserError("The viewer needs the package viser.", "Install it with: pip install 'splatwright[view]'") from None
    try:
        with own_pages_alone(host):
            server = viser.ViserServer(host, port, label="Splatwright", verbose=False)
    except OSError as error:
        raise UserError(f"Nothing can listen on {host}, port {port}: {error.strerror or error}.",
                        "Choose another --host or --port.") from None
    try:
        viewer = Viewer(server, file_of, views)
        viewer.begin()
        yield viewer
    finally:
        server.stop()


@contextmanager
def own_pages_alone(host: str) -> Iterator[None]:
    """A server that viser starts inside answers no page of another site, which a browser here may show; viser has no setting for that."""
    import websockets.asyncio.server as websockets
    from websockets.http11 import Request, Response

    serve = websockets.serve

    def serve_own(*arguments: Any, process_request: Any = None, **options: Any) -> Any:
        def checked(connection: Any, request: Request) -> Any:
            if not is_own(host, request.headers.get_all("Host"), request.headers.get_all("Origin")):
                return Response(403, "Forbidden", type(request.headers)(), b"This address is not the viewer's own.")
            return process_request(connection, request) if process_request else None

        return serve(*arguments, process_request=checked, **options)

    websockets.serve = serve_own
    try:
        yield
    finally:
        websockets.serve = serve


def is_own(host: str, hosts: Sequence[str], origins: Sequence[str]) -> bool:
    """Whether a request's one Host is an address, or a name of this computer, and its Origin, if it has one, is the page at that Host.

    A name of somebody else may lead here (DNS rebinding): it has no business with this computer.
    """
    if len(hosts) != 1 or len(origins) > 1:
        return False
    name = (urlsplit(f"//{hosts[0]}").hostname or "").casefold()
    here = socket.gethostname().casefold()
    if name not in ("localhost", host.casefold(), here, f"{here}.local") and not _is_address(name):
        return False
    return not origins or urlsplit(origins[0]).netloc.casefold() == hosts[0].casefold()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def show_splats(server: Any, gaussians: Gaussians) -> None:
    """Put Gaussians, without view-dependent colour, onto the page in place of those shown before."""
    turned = rotation_matrices(gaussians.quats) * np.exp(gaussians.scales.astype(np.float64).clip(-15, 15))[:, None, :]
    server.scene.add_gaussian_splats(
        "/splats", centers=gaussians.means, covariances=(turned @ turned.transpose(0, 2, 1)).astype(np.float32),
        rgbs=sh0_to_rgb(gaussians.sh0[:, 0]).clip(0, 1), opacities=1 / (1 + np.exp(-gaussians.opacities.clip(-30, 30)))[:, None])


def add_cameras(server: Any, views: Sequence[View]) -> Iterator[Any]:
    """A frustum with its photo for every view; held-out ones in another colour."""
    poses = [view.camera.camera_to_world for view in views]
    size = FRUSTUM_SHARE * float(np.median([np.linalg.norm(pose[:3, 3] - focus(poses)) for pose in poses]) or 1.0)
    for view in views:
        camera = undistorted_camera(view.camera)
        yield server.scene.add_camera_frustum(
            f"/cameras/{view.name}", fov=2 * math.atan(0.5 * camera.height / camera.fl_y), aspect=camera.width / camera.height, scale=size,
            color=(239, 165, 60) if view.held_out else (90, 140, 230), image=_photo(view),
            wxyz=quat_from_matrix(camera.camera_to_world[:3, :3] @ OPENGL_TO_OPENCV), position=camera.position)


def focus(poses: Sequence[np.ndarray]) -> np.ndarray:
    """Where the cameras look: the mean [3] of what lies a typical distance before each."""
    places = np.stack([pose[:3, 3] for pose in poses])
    distance = float(np.median(np.linalg.norm(places - places.mean(axis=0), axis=1))) or 1.0
    return (places - distance * np.stack([pose[:3, 2] for pose in poses])).mean(axis=0)


def _photo(view: View) -> np.ndarray | None:
    """The view's image, small, over black; None when it cannot be read."""
    try:
        image = ViewFiles(view).image
    except UserError:
        return None
    factor = min(1.0, PHOTO_SIDE / max(image.shape[:2]))
    small = area_average(image, max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return (small[..., :3] * (small[..., 3:] / 255 if small.shape[2] == 4 else 1) + 0.5).astype(np.uint8)


def _stamp(path: Path | None) -> tuple[Path, int, int] | None:
    try:
        status = path.stat() if path else None
    except OSError:
        return None
    return None if path is None or status is None else (path, status.st_mtime_ns, status.st_size)
