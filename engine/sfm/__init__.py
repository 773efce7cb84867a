"""From photos and videos to posed cameras. Needs the extra `photos` (pycolmap, PyAV, Pillow, pillow-heif, matplotlib)."""
