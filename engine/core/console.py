"""Starting other programs without a console."""

from __future__ import annotations

import subprocess
from typing import Any

NO_CONSOLE: dict[str, Any] = {"creationflags": flag} if (flag := getattr(subprocess, "CREATE_NO_WINDOW", 0)) else {}
"""Arguments for subprocess that keep Windows from opening a console beside Blender; empty elsewhere."""
