"""Posed photos in the scene."""
