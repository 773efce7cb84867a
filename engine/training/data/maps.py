"""Masks, depth, normals and other maps that lie beside images: read, checked, and reduced to the sizes that are trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.cameras.camera import Camera
from ...core.cameras.distortion import undistort_image
from ...core.confinement import admitted
from ...core.errors import UserError
from ...core.files import disk_error
from ...core.formats.npy import parse_npy
from ...core.images.png import decode_deep_png, decode_png_shares
from ...core.images.srgb import linear_from_display
from ...core.protocol.config import MaskMeaning, TrainConfig
from .images import DAMAGED, area_average, fast_sampling, fast_unfilter, read_image

METRES = 1e-3
"""Depth maps are in millimetres, as nerfstudio reads them by default."""

HALF = 0.5
"""A reduced pixel is learned from, or known, when at least so much of its area is."""

SHORTEST_NORMAL = 0.5
"""Averages of normals that are shorter come from surfaces that face different ways, or from none."""


@dataclass(frozen=True)
class MapSelection:
    """Which maps are read; masks always are."""

    mask_meaning: MaskMeaning = "ignore"
    depth: bool = False
    normals: bool = False


def selected_maps(config: TrainConfig) -> MapSelection:
    """What the settings need: reading and keeping more would cost time and memory."""
    return MapSelection(config.mask_meaning, config.depth_weight > 0, config.normal_weight > 0)


@dataclass(frozen=True)
class Maps:
    """What is known about a view beyond its colours, of the image's size or at least its proportions."""

    mask: np.ndarray | None = None  # [h, w] bool
    depth: np.ndarray | None = None  # [h, w] float32, metres, 0: unknown
    normals: np.ndarray | None = None  # [h, w, 3] float32, unit length or 0: unknown

    def reduced(self, width: int, height: int) -> dict[str, np.ndarray | None]:
        """The fields of a Target at another size."""
        return {"mask": None if self.mask is None else reduced_mask(self.mask, width, height),
                "depth": None if self.depth is None else reduced_depth(self.depth, width, height),
                "normals": None if self.normals is None else reduced_normals(self.normals, width, height)}

    def undistorted(self, camera: Camera, pinhole: Camera) -> Maps:
        """The maps of an image of `camera` as `pinhole` sees them, a camera of the same size.

        UserError for depth and normals: across an edge depth must not be blended, and normals would need a turn.
        """
        if not camera.distortion:
            return self
        if self.depth is not None or self.normals is not None:
            raise UserError("The images have a distorted lens, and depth or normal maps.",
                            "Undistort images and maps first, or set depth_weight and normal_weight to 0.", "training.distorted_maps")
        if self.mask is None:
            return self
        kept = reduced_mask(self.mask, camera.width, camera.height)[..., None]
        return Maps(undistort_image(kept, camera, pinhole, fast_sampling())[..., 0] >= 127.5)


def read_mask(path: Path) -> np.ndarray:
    """Which pixels a mask keeps, bool [H, W]: those that are opaque when it has transparent ones, else those that are bright."""
    image = read_image(path)
    transparent = image.shape[2] == 4 and (image[..., 3] < 255).any()
    return image[..., 3 if transparent else 0] >= 128


def read_depth(path: Path) -> np.ndarray:
    """Metres along the camera's axis, float32 [H, W], 0 where unknown; from NumPy files or 16-bit PNG in millimetres."""
    depth = _array(path, 2) if path.suffix == ".npy" else _deep_png(path)[..., 0]
    depth = depth.astype(np.float32) * np.float32(METRES)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def read_normals(path: Path) -> np.ndarray:
    """Unit vectors in Blender's world, float32 [H, W, 3], 0 where unknown; from NumPy files, or images that store (n + 1) / 2."""
    if path.suffix == ".npy":
        return unit_or_zero(_array(path, 3))
    image = read_image(path)
    normals = unit_or_zero(image[..., :3] * np.float32(1 / 127.5) - np.float32(1))
    return normals * (image[..., 3:] >= 128) if image.shape[2] == 4 else normals


def read_labels(path: Path) -> np.ndarray:
    """The number of the object that each pixel shows, uint16 [H, W], 0: none; from a grey PNG of 8 or 16 bits, or one with a palette."""
    labels = _deep_png(path)
    if labels.shape[2] != 1:
        raise UserError(f"{path.name} is a coloured image, no map of labels.", "Save label maps as grey PNG with 16 bits: each pixel holds "
                        "the number of its object.", "maps.labels_colored", path=path.name)
    return labels[..., 0]


def read_albedo(path: Path) -> np.ndarray:
    """Linear Rec.709 colour of the surface without light, float32 [H, W, 3]; from an RGB PNG of 8 or 16 bits with sRGB's display values."""
    shares = _decoded(path, lambda data: decode_png_shares(data, fast_unfilter()))
    if shares.shape[2] < 3:
        raise UserError(f"{path.name} is a grey image, no map of albedo.", "Save albedo maps as RGB PNG.", "maps.albedo_grey",
                        path=path.name)
    return linear_from_display(shares[..., :3])


def unit_or_zero(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] of length one; those that are short or not finite become 0."""
    vectors = np.asarray(vectors, np.float32)
    with np.errstate(all="ignore"):
        square = np.einsum("...i,...i->...", vectors, vectors)
        bad = ~((square >= SHORTEST_NORMAL**2) & (square < np.inf))
        unit = vectors * (1 / np.sqrt(square))[..., None]
    unit[bad] = 0
    return unit


def reduced_mask(mask: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 [height, width]: 255 where half of the area or more is kept."""
    return np.where(area_average(mask.astype(np.uint8)[..., None], width, height)[..., 0] >= HALF, 255, 0).astype(np.uint8)


def reduced_depth(depth: np.ndarray, width: int, height: int) -> np.ndarray:
    """Mean of what is known, float32 [height, width]; 0 where less than half of the area is."""
    if depth.shape == (height, width):
        return depth
    known = (depth > 0).astype(np.float32)
    sums, share = np.moveaxis(area_average(np.stack([depth, known], axis=2), width, height), 2, 0)
    return np.where(share >= HALF, sums / np.maximum(share, HALF), 0).astype(np.float32)


def reduced_normals(normals: np.ndarray, width: int, height: int) -> np.ndarray:
    """Mean directions of unit length, float32 [height, width, 3]; 0 where they are unknown or cancel out."""
    if normals.shape[:2] == (height, width):
        return normals
    return unit_or_zero(area_average(normals, width, height))


def emptied(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """An image uint8 [H, W, 3 or 4] that is transparent where the mask, bool [h, w], says that nothing is: uint8 [H, W, 4]."""
    height, width = image.shape[:2]
    kept = reduced_mask(mask, width, height)[..., None]
    alpha = np.minimum(image[..., 3:], kept) if image.shape[2] == 4 else kept
    return np.concatenate([image[..., :3], alpha], axis=2)


def _array(path: Path, dimensions: int) -> np.ndarray:
    """A NumPy file of numbers."""
    array = _decoded(path, parse_npy)
    if array.ndim == dimensions + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != dimensions or array.dtype.kind not in "fiu" or (dimensions == 3 and array.shape[2] != 3):
        raise UserError(f"{path.name} holds {array.dtype} {array.shape}, no map of an image.", "Make it again, or remove it.",
                        "maps.shape", path=path.name, kind=array.dtype, shape=array.shape)
    return array


def _deep_png(path: Path) -> np.ndarray:
    return _decoded(path, lambda data: decode_deep_png(data, fast_unfilter()))


def _decoded(path: Path, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
    """What `decode` makes of a file; every trouble becomes a UserError that names it."""
    try:
        return decode(admitted(path).read_bytes())
    except UserError as error:
        raise UserError(f"{path.name}: {error.message}", error.hint,
                        error.code, **{**dict(error.values), "path": path.name}) from None
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise disk_error(path, error) from error
        raise UserError(f"{path.name} is damaged and cannot be read.", "Make it again, or remove it from the dataset.",
                        "maps.damaged", path=path.name) from None


def fits(array: np.ndarray, camera: Camera) -> bool:
    """Whether a map [h, w, ...] has the proportions of a camera's image, to a pixel."""
    height, width = array.shape[:2]
    return abs(width * camera.height - height * camera.width) <= max(camera.width, camera.height)


def check_size(path: Path, array: np.ndarray, camera: Camera, image: str) -> None:
    """UserError when a map has not the proportions of its image."""
    if not fits(array, camera):
        height, width = array.shape[:2]
        raise UserError(f"{path.name} is {width} x {height} pixels, its image {image} {camera.width} x {camera.height}.",
                        "Make masks, depth and normals of the whole image, or remove them from the dataset.",
                        "maps.size", path=path.name, width=width, height=height, image=image,
                        image_width=camera.width, image_height=camera.height)
