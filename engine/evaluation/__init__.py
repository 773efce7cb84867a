"""Splat files as they lie on the disk: measured on views that no training saw, and rendered along camera paths."""
