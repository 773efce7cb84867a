"""Blender's module without its types: tests hand it wrong values, and use properties and operators that the extension registers."""

from __future__ import annotations

from typing import Any

import bpy as blender
import gpu as graphics

bpy: Any = blender
gpu: Any = graphics
