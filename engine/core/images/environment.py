"""Environment variables by which Blender tells the engine's processes how to read images."""

from __future__ import annotations

LIBRARY = "SPLATWRIGHT_OPENIMAGEIO"
"""The folder of the package OpenImageIO."""

READER = "SPLATWRIGHT_IMAGE_READER"
"""The command line of a Blender that reads images where there is no such package, as JSON."""
