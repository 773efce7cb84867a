"""What operators share that begin something which goes on beside Blender."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...engine.core.protocol.events import error_of
from ..translations import tr
from ..typed import Context, OperatorMixin
from .reporting import reports_user_errors


class Obstructed(OperatorMixin):
    """Mixed into operators that sometimes cannot be called: the button is grey, and its tooltip says why."""

    @classmethod
    def obstacle(cls, context: Context) -> str:
        """Why it cannot be called, in a sentence; empty when it can."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = cls.obstacle(context)
        if reason:
            cls.poll_message_set(tr(reason).replace("%", "%%"))
        return not reason


class StartsJob(Obstructed):
    """Mixed into operators that begin something. They return while it goes on; begin() raises UserError when it cannot begin."""

    begun: ClassVar[str] = ""
    """What is reported when it has begun; nothing where it is empty."""

    @classmethod
    def obstacle(cls, context: Context) -> str:
        return ""

    def begin(self, context: Context) -> Any:
        """Begin it, and return what is under way."""
        raise NotImplementedError

    def outcome(self, work: Any) -> str:
        """What is reported of what has begun."""
        return self.begun

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        sentence = self.outcome(self.begin(context))
        if sentence:
            self.report({"INFO"}, sentence)
        return {"FINISHED"}


class StartsInquiry(StartsJob):
    """Mixed into operators that ask something about a dataset. Without a window, where no timer ticks, they wait for the answer."""

    def wait(self, inquiry: Any) -> None:
        """Let the inquiry come to its end."""
        raise NotImplementedError

    def answer(self, inquiry: Any) -> str:
        """What is reported of an inquiry that has come to its end without a failure."""
        raise NotImplementedError

    def outcome(self, work: Any) -> str:
        if not bpy.app.background:
            return self.begun
        self.wait(work)
        if work.failure:
            raise error_of(work.failure)
        return self.answer(work)
