"""What counts as a photo, a camera's RAW file or a video, by the end of its name."""

from __future__ import annotations

from pathlib import Path

PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif"})
RAW = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef"})
VIDEOS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp", ".wmv"})
MASKS = "masks"
"""Folder with a mask for each photo, under the photo's name."""
MASK_FOLDERS = (MASKS, "mask")
MAPS = frozenset({*MASK_FOLDERS, "depth", "depths", "depth_maps", "normal", "normals", "labels", "albedo", "weights"})
"""Folders whose images are no photos, in lower case."""
TELL_CAMERAS = ("transforms.json", "sparse", "cameras.bin", "cameras.txt", "images.bin", "images.txt")


def is_plain_photos(folder: Path) -> bool:
    """Whether a folder holds photos, at its top or in a folder images or input, but no cameras."""
    if not folder.is_dir() or any((folder / name).exists() for name in TELL_CAMERAS):
        return False
    places = [place for name in (".", "images", "input") if (place := folder / name).is_dir()]
    return any(path.suffix.lower() in PHOTOS for place in places for path in place.iterdir())
