"""Splat objects: their attributes, how they are drawn, imported, exported, cropped and transformed."""
