"""Names that every system takes."""

from __future__ import annotations

import pytest

from engine.core.errors import UserError
from engine.core.file_names import plain_stem, windows_takes
from engine.core.protocol.http_messages import checked_job

DEVICES = ["con", "CON", "aux.txt", "nul", "NUL.tar.gz", "prn", "com1", "LPT9.log", "COM²", "con .txt", "conin$"]


@pytest.mark.parametrize("name", [*DEVICES, "a.", "a ", "a:b", "a?", "a\0b", 'a"b', "a|b", "a/b", "a\\b"])
def test_names_that_windows_does_not_take(name: str) -> None:
    assert not windows_takes(name)


@pytest.mark.parametrize("name", ["console", "aux-1.txt", "com10", "com", "a.b", ".hidden", "仕事 ü.png", "lpt"])
def test_names_that_windows_takes(name: str) -> None:
    assert windows_takes(name)


@pytest.mark.parametrize(("text", "stem"), [("Kitchen – 2", "Kitchen-2"), ("...", "job"), ("", "job"), ("仕事", "仕事"),
                                            ("a" * 70, "a" * 60)])
def test_stems(text: str, stem: str) -> None:
    assert plain_stem(text) == stem


@pytest.mark.parametrize("name", ["con", "NUL", "com1"])
def test_no_job_is_named_as_a_device(name: str) -> None:
    with pytest.raises(UserError, match="no name of a job"):
        checked_job(name)
