"""Symbolic links, which not every system lets everybody make: on Windows developers alone may."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest


def can_link() -> bool:
    """Whether this process can make a link that leads somewhere."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "target").mkdir()
        try:
            (Path(folder) / "link").symlink_to(Path(folder) / "target", target_is_directory=True)
        except OSError:
            return False
        return (Path(folder) / "link").is_dir()


needs_links = pytest.mark.skipif(not can_link(), reason="no symbolic links can be made here")
