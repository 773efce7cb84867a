"""Starting other programs without a console."""

from __future__ import annotations

import subprocess
from typing import Any

NO_CONSOLE: dict[str, Any] = {"creationflags": subprocess.CREATE_NO_WINDOW} if hasattr(subprocess, "CREATE_NO_WINDOW") else {}
"""Arguments for subprocess that keep Windows from opening a console beside Blender; empty elsewhere."""
