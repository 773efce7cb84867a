"""How operators tell people what went wrong: one sentence, never a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...engine.core.errors import UserError
from ...engine.core.files import disk_error
from ..translations import spoken
from ..ui.text import with_labels


def reports_user_errors(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate execute, invoke or modal: UserError and disk errors become an {'ERROR'} report and {'CANCELLED'}."""
    # Blender counts the arguments of the function it registers.
    if method.__code__.co_argcount == 2:
        @functools.wraps(method)
        def without_event(self: Any, context: Any) -> Any:
            return _reported(method, self, context)
        return without_event

    @functools.wraps(method)
    def with_event(self: Any, context: Any, event: Any) -> Any:
        return _reported(method, self, context, event)
    return with_event


def report_error(operator: Any, error: UserError) -> set[str]:
    """Show `error` to the user; returns {'CANCELLED'}."""
    operator.report({"ERROR"}, with_labels(spoken(error)))
    return {"CANCELLED"}


def _reported(method: Callable[..., Any], operator: Any, *arguments: Any) -> Any:
    try:
        return method(operator, *arguments)
    except UserError as error:
        return report_error(operator, error)
    except OSError as error:
        return report_error(operator, disk_error(Path(error.filename or "The file"), error))
