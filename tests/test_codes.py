"""Every finding and every failure names its sentence by a code, and its values by identifiers. Read from the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = r"[a-z0-9_]+\.[a-z0-9_]+"
POSITIONS = {"Finding": 8, "Failed": 2, "UserError": 2}
"""Where a code stands among the arguments."""

PASSED_ON = {"error.code", "choice.code", "self.code", "found.error.code", "said.code", "finding.code", "cause.code"}
"""Codes of an error or a choice that is said once more."""


def calls(name: str) -> Iterator[tuple[Path, ast.Call]]:
    for folder in ("engine", "addon"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                    yield path.relative_to(ROOT), node


def code_of(call: ast.Call, name: str) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    return named[0] if named else call.args[POSITIONS[name]] if len(call.args) > POSITIONS[name] else None


def values_of(call: ast.Call, name: str) -> list[ast.keyword]:
    """The named values of a sentence."""
    if name == "UserError":
        return [keyword for keyword in call.keywords if keyword.arg != "code"]
    said = [keyword.value for keyword in call.keywords if keyword.arg == "values"]
    return said[0].keywords if said and isinstance(said[0], ast.Call) else []


def sentence(call: ast.Call, name: str) -> str:
    return ast.unparse(call.args[1 if name == "Finding" else 0])


def said_anew(call: ast.Call) -> bool:
    """Whether a call passes on what another one said, and its code with it."""
    return any(isinstance(node, ast.Attribute) and node.attr == "message" for argument in call.args for node in ast.walk(argument))


def coded() -> list[tuple[Path, str, ast.Call, str]]:
    found = []
    for name in POSITIONS:
        for path, call in calls(name):
            code = code_of(call, name)
            if isinstance(code, ast.Constant):
                found.append((path, name, call, str(code.value)))
    return found


@pytest.mark.parametrize("name", ["Finding", "Failed"])
def test_every_finding_and_failure_has_a_code(name: str) -> None:
    found = list(calls(name))
    assert len(found) > (40 if name == "Finding" else 3)
    for path, call in found:
        code = code_of(call, name)
        where = f"{path}:{call.lineno}"
        assert code is not None, where
        assert isinstance(code, (ast.Constant, ast.JoinedStr)) or ast.unparse(code) in PASSED_ON, where


def test_one_code_one_sentence() -> None:
    sentences: dict[str, set[str]] = {}
    for _, name, call, code in coded():
        sentences.setdefault(code, set()).add(sentence(call, name))
    assert len(sentences) > 100
    assert {code: said for code, said in sentences.items() if len(said) > 1} == {}


def test_codes_are_plain() -> None:
    assert [code for *_, code in coded() if not re.fullmatch(CODE, code)] == []


def test_a_sentence_with_figures_has_values() -> None:
    """What stands in braces in the message can be said in another language only when it is named."""
    for path, name, call, _ in coded():
        holes = [node for node in ast.walk(call.args[1 if name == "Finding" else 0]) if isinstance(node, ast.FormattedValue)]
        assert not holes or values_of(call, name), f"{path}:{call.lineno}"


def test_names_of_values_are_identifiers() -> None:
    for path, name, call, _ in coded():
        for keyword in values_of(call, name):
            assert keyword.arg is None or keyword.arg.isidentifier(), f"{path}:{call.lineno}"
            assert keyword.arg not in ("message", "hint", "code"), f"{path}:{call.lineno}"


def test_kinds_of_image_findings_are_one_sentence_each() -> None:
    """about_images() makes the code of the kind, or of what it is told beside it."""
    said: dict[str, set[str]] = {}
    for _, call in calls("about_images"):
        code = [keyword.value for keyword in call.keywords if keyword.arg == "code"] or [call.args[0]]
        if isinstance(code[0], ast.Constant):
            said.setdefault(str(code[0].value), set()).add(ast.unparse(call.args[1]))
    assert len(said) > 8 and all(len(sentences) == 1 for sentences in said.values())
