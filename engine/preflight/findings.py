"""How findings about images are worded."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import Value, values
from ..core.protocol.events import MOST_IMAGES, Finding, Fix, Severity
from ..core.text import named, phrase


def about_images(kind: str, what: str, names: Sequence[str], total: int, hint: str, severity: Severity = "warning",
                 measure: float | None = None, fixes: tuple[Fix, ...] = ("exclude",), code: str = "", **said: Value) -> list[Finding]:
    """One finding about the images `names` of `total`; none when there are no such images.

    `code` names the sentence where a kind has several; `said` are figures and words of `what`.
    """
    if not names:
        return []
    message = phrase(f"{what} ({len(names)} of {total}): {named(names)}.")
    return [Finding(severity, message, hint, kind, measure, tuple(names[:MOST_IMAGES]), fixes,
                    code=f"preflight.{code or kind}", values=values(count=len(names), total=total, names=named(names), **said))]
