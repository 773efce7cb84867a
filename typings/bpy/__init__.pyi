"""Blender ships no types: everything in here is Any."""

from typing import Any

from . import app as app
from . import props as props
from . import types as types
from . import utils as utils

def __getattr__(name: str) -> Any: ...
