"""Real photos and splat files, which lie outside the checkout: the variable SPLATWRIGHT_DATA names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "SPLATWRIGHT_DATA"
DATA = Path(os.environ.get(VARIABLE) or f"(the variable {VARIABLE})").absolute()
REASON = f"the variable {VARIABLE} names no folder with "


def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where the folder of data does not hold this."""
    return pytest.mark.skipif(not (DATA / name).exists(), reason=REASON + name)


def real(name: str) -> Path:
    """A file or folder of the data; skips where it is not there."""
    if not (DATA / name).exists():
        pytest.skip(REASON + name)
    return DATA / name
