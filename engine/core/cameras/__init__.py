"""Cameras, lenses and camera paths."""
