"""Splatwright's engine: trains 3D Gaussian splats outside Blender. Importing this package costs next to nothing."""

from .core.former_imports import install

install()
