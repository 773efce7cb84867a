"""Trainings, checks and estimates as Blender follows them."""
