"""Posed images: one reader a format, behind read.py."""
