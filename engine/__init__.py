"""Splatwright's engine: trains 3D Gaussian splats outside Blender. Importing this package costs nothing."""
