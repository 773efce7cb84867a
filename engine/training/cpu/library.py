"""Finds, loads and calls the kernels. Every pointer handed to C is checked here first."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...core.errors import UserError

FOLDER = Path(__file__).resolve().parent / "lib"
OVERRIDE = "SPLATWRIGHT_KERNELS"
"""Environment variable that names another folder of kernels."""

ABI = 1
OUT_OF_MEMORY, TOO_MANY_PAIRS = -1, -2

SYSTEMS = {"linux": ("linux", "so"), "win32": ("windows", "dll"), "darwin": ("macos", "dylib")}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
REINSTALL = "Reinstall the extension, or run `make kernels` in a checkout."

STAGES = ("project", "sort", "bin", "raster", "loss", "raster back", "project back", "adam", "compose")
"""Stages of a step, in the order of enum Stage in splat.c."""

FloatPointer = ctypes.POINTER(ctypes.c_float)


class SceneStruct(ctypes.Structure):
    """Scene in projection.h."""

    _fields_ = [("count", ctypes.c_int64), ("sh_count", ctypes.c_int32), ("sh_degree", ctypes.c_int32),
                *((name, FloatPointer) for name in ("means", "quats", "scales", "opacities", "sh0", "shN"))]


class ViewStruct(ctypes.Structure):
    """View in projection.h."""

    _fields_ = [("width", ctypes.c_int32), ("height", ctypes.c_int32),
                *((name, ctypes.c_float) for name in ("fl_x", "fl_y", "cx", "cy")),
                ("rotation", ctypes.c_float * 9), ("translation", ctypes.c_float * 3), ("background", ctypes.c_float * 3)]


class GradientsStruct(ctypes.Structure):
    """Gradients in projection.h."""

    _fields_ = [(name, FloatPointer) for name in ("means", "quats", "scales", "opacities", "sh0", "shN")]


def file_name(system: str, machine: str, variant: str = "") -> str:
    """Name of a kernel library: splat-linux-x86_64-avx2.so."""
    ending = {name: ending for name, ending in SYSTEMS.values()}[system]
    return "-".join(filter(None, ("splat", system, machine, variant))) + f".{ending}"


def host_builds() -> list[str]:
    """Names of the libraries for this computer, the plain one first."""
    system, machine = SYSTEMS.get(sys.platform, ("", ""))[0], MACHINES.get(platform.machine().lower(), "")
    if not system or not machine:
        raise UserError(f"The built-in engine does not run on {sys.platform} {platform.machine()}.",
                        "Use a computer with Windows, macOS or Linux on x86-64 or arm64, or a remote engine.")
    return [file_name(system, machine), *([file_name(system, machine, "avx2")] if machine == "x86_64" else [])]


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """The fastest kernels that this computer runs; UserError in one sentence when there are none."""
    plain, *faster = host_builds()
    library = _open(plain)
    for name in faster:
        if library.splat_has_avx2() and (_folder() / name).exists():
            library = _open(name)
    return _declare(library)


def _folder() -> Path:
    return Path(os.environ.get(OVERRIDE) or FOLDER)


def _open(name: str) -> ctypes.CDLL:
    path = _folder() / name
    if not path.exists():
        others = sorted(found.name for found in _folder().glob("splat-*"))
        what = f"only those for other computers are there ({', '.join(others)})" if others else f"{name} is missing"
        raise UserError(f"The engine's kernel library for this computer cannot be found: {what}.", REINSTALL)
    try:
        library = ctypes.CDLL(str(path))
        version = library.splat_abi()
    except (OSError, AttributeError) as error:
        raise UserError(f"The engine's kernel library {name} cannot be loaded: it is damaged or made for another computer ({error}).",
                        REINSTALL) from None
    if version != ABI:
        raise UserError(f"The engine's kernel library {name} is of version {version}, this engine needs {ABI}.", REINSTALL)
    return library


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer, long, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
    scene, view, gradients = ctypes.POINTER(SceneStruct), ctypes.POINTER(ViewStruct), ctypes.POINTER(GradientsStruct)
    floats, doubles = FloatPointer, ctypes.POINTER(ctypes.c_double)
    signatures = {
        "splat_new": (pointer, [integer]),
        "splat_free": (None, [pointer]),
        "splat_forward": (long, [pointer, scene, view, floats, floats, floats]),
        "splat_backward": (integer, [pointer, floats, floats, gradients]),
        "splat_loss": (integer, [pointer, integer, integer, floats, floats, real, floats, doubles]),
        "splat_adam": (None, [pointer, long, floats, floats, floats, floats, real, real, real, real, long]),
        "splat_compose": (None, [pointer, pointer, integer, integer, integer, real * 3, floats]),
        "splat_take_seconds": (integer, [pointer, doubles]),
        "splat_png_unfilter": (integer, [pointer, integer, integer, integer, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def floats(array: np.ndarray | None, *shape: int) -> ctypes._Pointer | None:
    """Pointer to a contiguous float32 array of exactly this shape."""
    if array is None:
        return None
    if array.dtype != np.float32 or not array.flags.c_contiguous or array.shape != shape:
        raise ValueError(f"expected contiguous float32 {shape}, got {array.dtype} {array.shape}")
    return array.ctypes.data_as(FloatPointer)


@dataclass(frozen=True)
class Images:
    """What a frame looks like, planar."""

    rgb: np.ndarray  # [3, H, W]
    transmittance: np.ndarray  # [H, W]
    depth: np.ndarray | None  # [H, W]


class Kernels:
    """One rasterizer with its threads and memory. Use from one Python thread at a time."""

    def __init__(self, threads: int):
        self._library = load()
        self._handle = self._library.splat_new(threads)
        if not self._handle:
            raise out_of_memory()
        self._frame: tuple[object, ...] = ()

    def close(self) -> None:
        """End the threads and free the memory."""
        if self._handle:
            self._library.splat_free(self._handle)
            self._handle = None

    def take_seconds(self) -> dict[str, float]:
        """Seconds spent in each stage since the last call."""
        seconds = (ctypes.c_double * len(STAGES))()
        self._library.splat_take_seconds(self._handle, seconds)
        return dict(zip(STAGES, seconds, strict=True))

    def forward(self, parameters: dict[str, np.ndarray], sh_degree: int, view: ViewStruct, with_depth: bool) -> Images:
        """Rasterize. The parameters must not move until backward()."""
        count, rest = len(parameters["means"]), parameters["shN"].shape[1]
        shapes = parameter_shapes(count, rest)
        scene = SceneStruct(count, 1 + rest, sh_degree, *(floats(parameters[name], *shape) for name, shape in shapes.items()))
        height, width = view.height, view.width
        images = Images(np.empty((3, height, width), np.float32), np.empty((height, width), np.float32),
                        np.empty((height, width), np.float32) if with_depth else None)
        pairs = self._library.splat_forward(self._handle, scene, view, floats(images.rgb, 3, height, width),
                                            floats(images.transmittance, height, width), floats(images.depth, height, width))
        _check(pairs)
        self._frame = (dict(parameters), images, shapes)  # C keeps pointers into these
        return images

    def backward(
        self, rgb_gradient: np.ndarray, gradients: dict[str, np.ndarray], transmittance_gradient: np.ndarray | None = None,
    ) -> None:
        """Gradients of the last forward() into arrays shaped like the parameters."""
        _, images, shapes = self._frame
        assert isinstance(images, Images) and isinstance(shapes, dict)
        struct = GradientsStruct(*(floats(gradients[name], *shape) for name, shape in shapes.items()))
        _check(self._library.splat_backward(self._handle, floats(rgb_gradient, *images.rgb.shape),
                                            floats(transmittance_gradient, *images.transmittance.shape), struct))

    def loss(self, image: np.ndarray, target: np.ndarray, ssim_lambda: float, gradient: np.ndarray) -> float:
        """(1 - λ) L1 + λ (1 - SSIM) of planar images [3, H, W]; the gradient is written."""
        _, height, width = image.shape
        value = ctypes.c_double()
        _check(self._library.splat_loss(self._handle, width, height, floats(image, 3, height, width), floats(target, 3, height, width),
                                        ssim_lambda, floats(gradient, 3, height, width), value))
        return value.value

    def adam(self, values: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, rate: float, step: int) -> None:
        """One Adam step in place, with the betas and epsilon that the field shares."""
        arrays = (floats(array, *values.shape) for array in (values, gradient, first, second))
        self._library.splat_adam(self._handle, values.size, *arrays, rate, 0.9, 0.999, 1e-15, step)

    def compose(self, image: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
        """uint8 [H, W, 3 or 4] over a background -> planar float32 [3, H, W]."""
        height, width, channels = image.shape
        if image.dtype != np.uint8 or not image.flags.c_contiguous or channels not in (3, 4):
            raise ValueError("expected contiguous uint8 [H, W, 3 or 4]")
        planar = np.empty((3, height, width), np.float32)
        self._library.splat_compose(self._handle, image.ctypes.data, width, height, channels, (ctypes.c_float * 3)(*background),
                                    floats(planar, 3, height, width))
        return planar


def parameter_shapes(count: int, rest: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter array."""
    return {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "opacities": (count,),
            "sh0": (count, 1, 3), "shN": (count, rest, 3)}


def png_unfilter(raw: np.ndarray, height: int, stride: int, pixel: int) -> np.ndarray:
    """Undo PNG filters: bytes of `height` rows, each a filter byte and `stride` bytes -> uint8 [height, stride]."""
    raw = np.ascontiguousarray(raw, np.uint8)
    if raw.size != height * (stride + 1):
        raise ValueError("the pixels are cut off")
    out = np.empty((height, stride), np.uint8)
    if load().splat_png_unfilter(raw.ctypes.data, height, stride, pixel, out.ctypes.data) >= 0:
        raise ValueError("a row has an unknown filter")
    return out


def _check(code: int) -> None:
    if code == OUT_OF_MEMORY:
        raise out_of_memory()
    if code == TOO_MANY_PAIRS:
        raise UserError("The Gaussians have grown so large that each covers the whole image.",
                        "Start again with a lower learning rate for scales, or with better start points.")


def out_of_memory() -> UserError:
    """The sentence for a computer without enough memory."""
    return UserError("The computer ran out of memory.", "Lower the resolution or the number of Gaussians.")
