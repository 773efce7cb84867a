"""Finds, loads and calls the kernels. Every pointer handed to C is checked here first."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from ...core.errors import UserError
from ...core.files import make_folder, replacing
from ..low_pass import CLASSIC, LowPass

FOLDER = Path(__file__).resolve().parent / "lib"
OVERRIDE = "SPLATWRIGHT_KERNELS"
"""Environment variable that names another folder of kernels."""

ABI = 7
OUT_OF_MEMORY, TOO_MANY_PAIRS, NOT_FINITE = -1, -2, -3

SYSTEMS = {"linux": ("linux", "so"), "win32": ("windows", "dll"), "darwin": ("macos", "dylib")}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
REINSTALL = "Reinstall the extension, or run `make kernels` in a checkout."

STAGES = ("compose", "project", "sort", "bin", "raster", "loss", "raster back", "project back and Adam")
"""Stages of a step, in the order of enum Stage in splat.c."""

FloatPointer = ctypes.POINTER(ctypes.c_float)


class SceneStruct(ctypes.Structure):
    """Scene in projection.h."""

    _fields_ = [("count", ctypes.c_int64), ("sh_count", ctypes.c_int32), ("sh_degree", ctypes.c_int32),
                ("dilation", ctypes.c_float), ("blur", ctypes.c_float), ("values", FloatPointer)]


class ViewStruct(ctypes.Structure):
    """View in projection.h."""

    _fields_ = [("width", ctypes.c_int32), ("height", ctypes.c_int32),
                *((name, ctypes.c_float) for name in ("fl_x", "fl_y", "cx", "cy")),
                ("rotation", ctypes.c_float * 9), ("translation", ctypes.c_float * 3), ("background", ctypes.c_float * 3),
                ("nearest", ctypes.c_float)]


class GradientsStruct(ctypes.Structure):
    """Gradients in splat.c."""

    _fields_ = [(name, FloatPointer) for name in ("values", "absolute", "pose")]


class TermWeightsStruct(ctypes.Structure):
    """TermWeights in terms.h."""

    _fields_ = [(name, ctypes.c_float) for name in ("alpha", "transmittance", "depth", "distortion", "normals")]


class StepInputStruct(ctypes.Structure):
    """StepInput in splat.c."""

    _fields_ = [("image", ctypes.c_void_p), ("channels", ctypes.c_int32), ("ssim_lambda", ctypes.c_float), ("ssim_stride", ctypes.c_int32),
                ("rates", ctypes.c_float * 6),
                *((name, ctypes.c_float) for name in ("opacity_regularisation", "scale_regularisation", "needle_weight", "noise")),
                ("weights", TermWeightsStruct), ("seed", ctypes.c_uint32), ("step", ctypes.c_int64), ("first", FloatPointer),
                ("second", FloatPointer), ("mask", ctypes.c_void_p),
                *((name, FloatPointer) for name in ("depth", "normals", "exposure", "exposure_gradient", "pose_gradient")),
                ("visibility_stats", FloatPointer)]


class RowsStruct(ctypes.Structure):
    """Rows in rows.h."""

    _fields_ = [("values", FloatPointer), *((name, ctypes.c_int32) for name in ("components", "first", "width")),
                ("rows", ctypes.c_void_p), ("count", ctypes.c_int64)]


class PictureStruct(ctypes.Structure):
    """Picture in sampling.h."""

    _fields_ = [("values", ctypes.c_void_p), ("row", ctypes.c_int64),
                *((name, ctypes.c_int32) for name in ("height", "width", "channels", "pixel", "bytes"))]


class SamplesStruct(ctypes.Structure):
    """Samples in sampling.h."""

    _fields_ = [("corner", ctypes.c_void_p), *((name, FloatPointer) for name in ("right", "lower")),
                *((name, ctypes.c_int32) for name in ("height", "width", "times"))]


def file_name(system: str, machine: str, variant: str = "") -> str:
    """Name of a kernel library: splat-linux-x86_64-avx2.so."""
    ending = {name: ending for name, ending in SYSTEMS.values()}[system]
    return "-".join(filter(None, ("splat", system, machine, variant))) + f".{ending}"


X86_VARIANTS = {"": 2, "avx2": 3, "avx512": 4}
"""Builds for x86-64, and the level of the architecture that each needs."""


def host_builds() -> dict[str, int]:
    """Names of the libraries for this computer's kind, and the level of x86-64 that each needs; the plain one first."""
    system, machine = SYSTEMS.get(sys.platform, ("", ""))[0], MACHINES.get(platform.machine().lower(), "")
    if not system or not machine:
        raise UserError(f"The built-in engine does not run on {sys.platform} {platform.machine()}.",
                        "Use a computer with Windows, macOS or Linux on x86-64 or arm64, or a remote engine.", "engine.system",
                        platform=sys.platform, machine=platform.machine())
    return {file_name(system, machine, variant): level for variant, level in (X86_VARIANTS if machine == "x86_64" else {"": 0}).items()}


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL:
    """The fastest kernels that this computer runs; UserError in one sentence when there are none."""
    return _declare(_open(fitting_builds()[-1]))


def fitting_builds() -> list[str]:
    """Names of the libraries that are there and that this computer runs: the plain one first, the fastest last. UserError without any."""
    builds = host_builds()
    level = _open(next(iter(builds))).splat_x86_level()
    return [name for name, needed in builds.items() if needed <= level and (_folder() / name).exists()]


def _folder() -> Path:
    return Path(os.environ.get(OVERRIDE) or FOLDER)


def _open(name: str) -> ctypes.CDLL:
    path = _folder() / name
    if not path.exists():
        others = sorted(found.name for found in _folder().glob("splat-*"))
        what = f"only those for other computers are there ({', '.join(others)})" if others else f"{name} is missing"
        raise UserError(f"The engine's kernel library for this computer cannot be found: {what}.", REINSTALL, "engine.no_kernels",
                        what=what)
    try:
        library = ctypes.CDLL(str(_copied(path) if sys.platform == "win32" else path))
        version = library.splat_abi()
    except (OSError, AttributeError) as error:
        raise UserError(f"The engine's kernel library {name} cannot be loaded: it is damaged or made for another computer ({error}).",
                        REINSTALL, "engine.kernel_damaged", name=name, error=error) from None
    needed = ABI
    if version != needed:
        raise UserError(f"The engine's kernel library {name} is of version {version}, this engine needs {needed}.", REINSTALL,
                        "engine.kernel_version", name=name, version=version, needed=needed)
    return library


def _copied(path: Path) -> Path:
    """A copy outside of the extension, which Windows would keep from being updated or removed while a training has its library loaded."""
    data = path.read_bytes()
    copy = Path(tempfile.gettempdir()) / "splatwright-kernels" / f"{hashlib.sha256(data).hexdigest()[:16]}-{path.name}"
    try:
        if not copy.exists() or copy.read_bytes() != data:
            make_folder(copy.parent)
            with replacing(copy) as temporary:
                temporary.write_bytes(data)
    except (OSError, UserError):
        return path
    return copy


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, integer, long, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
    scene, view, gradients = (ctypes.POINTER(struct) for struct in (SceneStruct, ViewStruct, GradientsStruct))
    floats, doubles = FloatPointer, ctypes.POINTER(ctypes.c_double)
    signatures = {
        "splat_new": (pointer, [integer]),
        "splat_free": (None, [pointer]),
        "splat_forward": (long, [pointer, scene, view, floats, floats, floats]),
        "splat_backward": (integer, [pointer, floats, floats, gradients]),
        "splat_loss": (integer, [pointer, view, pointer, integer, floats, real, integer, integer, floats, doubles]),
        "splat_step": (integer, [pointer, scene, view, ctypes.POINTER(StepInputStruct), doubles]),
        "splat_score": (long, [pointer, scene, view, pointer, integer, pointer, doubles, doubles]),
        "splat_contribution": (long, [pointer, scene, view, floats, integer, floats, floats]),
        "splat_take_seconds": (integer, [pointer, doubles]),
        "splat_memory": (long, [pointer]),
        "splat_png_unfilter": (integer, [pointer, integer, integer, integer, pointer]),
        "splat_area_average": (None, [ctypes.POINTER(PictureStruct), integer, integer, floats, floats]),
        "splat_average_samples": (integer, [ctypes.POINTER(PictureStruct), ctypes.POINTER(SamplesStruct), floats]),
        "splat_premultiply": (None, [pointer, long, pointer]),
        "splat_gather_rows": (None, [ctypes.POINTER(RowsStruct), floats]),
        "splat_scatter_rows": (None, [ctypes.POINTER(RowsStruct), floats]),
        "splat_move_rows": (None, [ctypes.POINTER(RowsStruct), ctypes.POINTER(RowsStruct)]),
        "splat_all_finite": (integer, [floats, long]),
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


class BlockArrays(Protocol):
    """What the kernels see of Blocks."""

    @property
    def values(self) -> np.ndarray: ...  # [blocks, components, BLOCK] float32, contiguous

    @property
    def count(self) -> int: ...

    @property
    def rest(self) -> int: ...

    def zeros_like(self) -> BlockArrays: ...

    def read(self, name: str) -> np.ndarray: ...

    def unpack(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class Images:
    """A rendered frame, planar."""

    rgb: np.ndarray  # [3, H, W]
    transmittance: np.ndarray  # [H, W]
    depth: np.ndarray | None  # [H, W]


@dataclass(frozen=True)
class KernelScene:
    """Gaussians, SH degree and low-pass filter, as the kernels take them."""

    gaussians: BlockArrays
    sh_degree: int
    low_pass: LowPass = CLASSIC

    def struct(self) -> SceneStruct:
        """The same as SceneStruct."""
        values = self.gaussians.values
        if not 0 <= self.sh_degree <= 3 or (self.sh_degree + 1) ** 2 > 1 + self.gaussians.rest:
            raise ValueError(f"degree {self.sh_degree} of {1 + self.gaussians.rest} coefficients")
        return SceneStruct(self.gaussians.count, 1 + self.gaussians.rest, self.sh_degree, self.low_pass.dilation, self.low_pass.blur,
                           floats(values, *values.shape))


@dataclass(frozen=True)
class Gradients:
    """Gradients of a frame's loss."""

    gaussians: BlockArrays
    pose: np.ndarray  # [3, 4], by the world-to-camera matrix
    absolute: np.ndarray | None  # [N, 2], sums over pixels of the absolute gradient by the centre on the image


@dataclass(frozen=True)
class BesideImage:
    """What a step may know, learn and count beside the image. Nothing is learned where the mask is 0, nor from maps where they are 0."""

    mask: np.ndarray | None = None  # [H, W] uint8
    depth: np.ndarray | None = None  # [H, W]
    normals: np.ndarray | None = None  # [H, W, 3]
    exposure: np.ndarray | None = None  # [3, 4], of this photo
    by_exposure: np.ndarray | None = None  # [3, 4], the gradient by it, which is written
    by_pose: np.ndarray | None = None  # [12], the gradient by rotation [3, 3] and translation [3] of the view, which is written
    visibility_stats: np.ndarray | None = None  # [N, 3], of visibility_stats.h, which are updated

    def point(self, step_input: StepInputStruct, view: ViewStruct, count: int) -> None:
        """Put the arrays' addresses into a step's input; ValueError for other shapes or types."""
        size = view.height, view.width
        step_input.mask = None if self.mask is None else mask_pointer(self.mask, view)
        step_input.depth, step_input.normals = floats(self.depth, *size), floats(self.normals, *size, 3)
        step_input.exposure, step_input.exposure_gradient = floats(self.exposure, 3, 4), floats(self.by_exposure, 3, 4)
        step_input.pose_gradient = floats(self.by_pose, 12)
        step_input.visibility_stats = floats(self.visibility_stats, count, 3)


class Kernels:
    """One rasterizer with its threads and memory. Use from one Python thread at a time."""

    def __init__(self, threads: int):
        self._library = load()
        self._handle = self._library.splat_new(threads)
        if not self._handle:
            raise out_of_memory()
        self._frame: tuple[KernelScene, Images] | None = None

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

    def memory(self) -> int:
        """Bytes held for frames and steps, beside Gaussians and moments."""
        return self._library.splat_memory(self._handle)

    def forward(self, drawing: KernelScene, view: ViewStruct, with_depth: bool = False) -> Images:
        """Rasterize. The Gaussians must not change until backward()."""
        height, width = view.height, view.width
        images = Images(np.empty((3, height, width), np.float32), np.empty((height, width), np.float32),
                        np.empty((height, width), np.float32) if with_depth else None)
        self._frame = None
        _check(self._library.splat_forward(self._handle, drawing.struct(), view, floats(images.rgb, 3, height, width),
                                           floats(images.transmittance, height, width), floats(images.depth, height, width)))
        self._frame = drawing, images  # C keeps pointers into these
        return images

    def backward(self, rgb_gradient: np.ndarray, transmittance_gradient: np.ndarray | None = None, absolute: bool = False) -> Gradients:
        """Gradients of the last forward(), given those of its images [3, H, W] and [H, W]; ValueError when another frame came since."""
        if not self._frame:
            raise ValueError("backward() follows forward()")
        drawing, images = self._frame
        gaussians = drawing.gaussians
        made = Gradients(gaussians.zeros_like(), np.zeros((3, 4), np.float32),
                         np.zeros((gaussians.count, 2), np.float32) if absolute else None)
        pose = np.zeros(12, np.float32)
        struct = GradientsStruct(floats(made.gaussians.values, *gaussians.values.shape), floats(made.absolute, gaussians.count, 2),
                                 floats(pose, 12))
        _check(self._library.splat_backward(self._handle, floats(rgb_gradient, *images.rgb.shape),
                                            floats(transmittance_gradient, *images.transmittance.shape), struct))
        made.pose[:, :3], made.pose[:, 3] = pose[:9].reshape(3, 3), pose[9:]
        return made

    def loss(self, view: ViewStruct, image: np.ndarray, rgb: np.ndarray, ssim_lambda: float, gradient: np.ndarray,
             stride: int = 1, phase: int = 0) -> float:
        """(1 - λ) L1 + λ (1 - SSIM) of planar rgb [3, H, W] against uint8 [H, W, 3 or 4]; the gradient is written.

        SSIM's windows stand on every `stride`-th row, from row `phase` on.
        """
        value, shape = ctypes.c_double(), (3, view.height, view.width)
        _check(self._library.splat_loss(self._handle, view, image_pointer(image, view), image.shape[2], floats(rgb, *shape), ssim_lambda,
                                        stride, phase, floats(gradient, *shape), value))
        return value.value

    def step(self, drawing: KernelScene, view: ViewStruct, image: np.ndarray, step_input: StepInputStruct,
             moments: tuple[BlockArrays, BlockArrays],
             beside: BesideImage = BesideImage()) -> float | None:
        """Draw, compare with uint8 [H, W, 3 or 4], go back and update the Gaussians and Adam's moments in place.

        Returns the loss before the update; None, and nothing is changed, when it is not a finite number.
        """
        value, shape = ctypes.c_double(), drawing.gaussians.values.shape
        self._frame = None
        step_input.image, step_input.channels = image_pointer(image, view), image.shape[2]
        step_input.first, step_input.second = (floats(moment.values, *shape) for moment in moments)
        beside.point(step_input, view, drawing.gaussians.count)
        code = self._library.splat_step(self._handle, drawing.struct(), view, step_input, value)
        if code == NOT_FINITE:
            return None
        _check(code)
        return value.value

    def contribution(self, drawing: KernelScene, view: ViewStruct, buffers: np.ndarray, sums: np.ndarray, largest: np.ndarray) -> None:
        """Add what each Gaussian adds to an image: to `sums` [N, 1 + K] its weights, alpha times transmittance, summed over the pixels, and
        the same times each of the `buffers` [K, H, W]; `largest` [N] is raised to its largest weight."""
        count, channels = drawing.gaussians.count, len(buffers)
        self._frame = None
        _check(self._library.splat_contribution(self._handle, drawing.struct(), view, floats(buffers, channels, view.height, view.width),
                                                channels, floats(sums, count, 1 + channels), floats(largest, count)))

    def score(self, drawing: KernelScene, view: ViewStruct, image: np.ndarray, mask: np.ndarray | None) -> tuple[float, float]:
        """Draw and compare with uint8 [H, W, 3 or 4]: mean squared error and mean SSIM over all pixels of images in [0, 1], of which those
        count as equal where `mask`, uint8 [H, W], is 0."""
        squares, similarity = ctypes.c_double(), ctypes.c_double()
        self._frame = None
        _check(self._library.splat_score(self._handle, drawing.struct(), view, image_pointer(image, view), image.shape[2],
                                         None if mask is None else mask_pointer(mask, view), squares, similarity))
        return squares.value, similarity.value


def image_pointer(image: np.ndarray, view: ViewStruct) -> int:
    """Address of a contiguous uint8 image [H, W, 3 or 4] of the view's size."""
    if image.dtype != np.uint8 or not image.flags.c_contiguous or image.shape not in [(view.height, view.width, n) for n in (3, 4)]:
        raise ValueError(f"expected contiguous uint8 [{view.height}, {view.width}, 3 or 4], got {image.dtype} {image.shape}")
    return image.ctypes.data


def mask_pointer(mask: np.ndarray, view: ViewStruct) -> int:
    """Address of a contiguous uint8 mask [H, W] of the view's size."""
    if mask.dtype != np.uint8 or not mask.flags.c_contiguous or mask.shape != (view.height, view.width):
        raise ValueError(f"expected a contiguous uint8 mask [{view.height}, {view.width}], got {mask.dtype} {mask.shape}")
    return mask.ctypes.data


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
                        "Start again with a lower learning rate for scales, or with better start points.", "engine.too_large")


def out_of_memory() -> UserError:
    """UserError for an allocation that failed."""
    return UserError("The computer ran out of memory.", "Lower the resolution or the number of Gaussians.", "engine.memory")
