from typing import Any

_C: Any
