"""Reads from the syntax trees what people are shown: sentences that have a code, and texts of the add-on.

Sentences of f-strings become templates: each value in braces is named as the sentence's values name it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
ON_THE_COMMAND_LINE = ("engine/cli", "engine/evaluation", "engine/managed", "engine/monocular.py", "engine/server/auth.py",
                       "engine/server/cluster",
                       "engine/server/serving.py", "engine/viewer.py")
"""What speaks English only: nobody meets it in Blender."""

MESSAGES = {"UserError": 0, "InUse": 0, "Failed": 0, "Finding": 1, "Paused": 1, "BackendChoice": 1}
"""Where the message stands among the arguments; the hint comes after it, the code of an error after that."""

WORDS = re.compile(r"[A-Z][^\n]* [^\n]*|[A-Z][^\n]*[.…!?]")
"""Texts for people: they begin with a capital and have several words, or an end."""


PUT_TOGETHER = {"estimate.fit", "estimate.oversized", "estimate.needs", "preflight.left_out", "preflight.points_left_out"}
"""Codes whose message is made of texts that are marked with phrase(), or is another sentence: it is translated by its text."""

NO_TEXT = {"addon/__main__.py", "addon/operators/former.py", "addon/splats/clean.py", "addon/splats/from_mesh.py",
           "addon/splats/importing.py"}
"""Files whose f-strings are names of data, or are for the console."""


@dataclass
class Sentences:
    """What is shown: `coded` by "code" or "code.hint" -> English template, `texts` without a code, each with the place that says it."""

    coded: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class UnreadableError(Exception):
    """A sentence that is put together in a way that no template can say."""


@lru_cache
def read_sentences(repository: Path = REPOSITORY) -> Sentences:
    """All sentences of the engine and the add-on that somebody can meet in Blender."""
    found = Sentences()
    for folder in ("engine", "addon"):
        for path in sorted((repository / folder).rglob("*.py")):
            name = path.relative_to(repository).as_posix()
            if not name.startswith((*ON_THE_COMMAND_LINE, "addon/translations")):
                _Module(path, name, found).read()
    return found


class _Module:
    def __init__(self, path: Path, name: str, found: Sentences):
        self.path, self.name, self.found = path, name, found
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.constants = _constants(path)

    def read(self) -> None:
        errors = [node for node in ast.walk(self.tree) if _called(node) in MESSAGES]
        for call in errors:
            assert isinstance(call, ast.Call)
            self._coded(call)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and _called(node) in ("phrase", "tr"):
                for text in _templates(node.args[0]):
                    self._text(text, node)
            if isinstance(node, ast.Call) and _called(node) == "about_images":
                for text in (*_literals(node.args[1]), *_literals(node.args[4])):
                    self._text(text, node)
        if self.name.startswith("addon/"):
            self._shown({id(inner) for call in errors for inner in ast.walk(call)})
        else:
            self._hints()

    def _coded(self, call: ast.Call) -> None:
        name, where = _called(call), f"{self.name}:{call.lineno}"
        start = MESSAGES[name]
        code, values = _code_and_values(call, name)
        if code is None or len(call.args) <= start:
            return
        parts = [("", call.args[start])]
        parts += [(".hint", call.args[start + 1])] if len(call.args) > start + 1 and name != "Paused" else []
        for part, argument in parts:
            try:
                template = self._template(argument, values)
            except UnreadableError as problem:
                if not part and code not in PUT_TOGETHER:  # a hint without a template is translated by its text
                    self.found.problems.append(f"{where}: {code}: {problem}")
                continue
            if template.strip():
                self._add(f"{code}{part}", template, where)

    def _add(self, code: str, template: str, where: str) -> None:
        if self.found.coded.setdefault(code, template) != template:
            self.found.problems.append(f"{where}: {code} says something else at {self.found.places[code]}")
        self.found.places.setdefault(code, where)

    def _template(self, node: ast.expr, values: dict[str, str]) -> str:
        """A sentence with named fields."""
        match node:
            case ast.Constant(value=str(text)):
                return text.replace("{", "{{").replace("}", "}}")
            case ast.JoinedStr():
                return "".join(self._field(part, values) if isinstance(part, ast.FormattedValue) else self._template(part, values)
                               for part in node.values)
            case ast.BinOp(op=ast.Add()):
                return self._template(node.left, values) + self._template(node.right, values)
            case ast.Call(func=ast.Attribute(attr="rstrip" | "strip", value=said), args=[]):
                return self._template(said, values)
            case ast.Name() if isinstance(self.constants.get(node.id), str):
                return str(self.constants[node.id]).replace("{", "{{").replace("}", "}}")
            case ast.Name() | ast.Attribute() | ast.Call() | ast.Subscript() if ast.unparse(node) in values:
                return f"{{{values[ast.unparse(node)]}}}"
        raise UnreadableError(f"{ast.unparse(node)} is no text that can be read")

    def _field(self, part: ast.FormattedValue, values: dict[str, str]) -> str:
        source = ast.unparse(part.value)
        if isinstance(part.value, ast.Name) and part.value.id in self.constants and source not in values:
            return str(self.constants[part.value.id])
        if source not in values:
            raise UnreadableError(f"{{{source}}} is none of its values")
        spec = "".join(str(each.value) for each in part.format_spec.values if isinstance(each, ast.Constant)) \
            if isinstance(part.format_spec, ast.JoinedStr) else ""
        conversion = f"!{chr(part.conversion)}" if part.conversion != -1 else ""
        return f"{{{values[source]}{conversion}{':' if spec else ''}{spec}}}"

    def _text(self, text: str, node: ast.AST) -> None:
        self.found.texts.setdefault(text, f"{self.name}:{getattr(node, 'lineno', 0)}")

    def _shown(self, in_errors: set[int]) -> None:
        """Texts of the add-on: whatever looks like one and stands neither in an error nor in a docstring."""
        phrases = (node for node in ast.walk(self.tree) if isinstance(node, ast.Call) and _called(node) == "phrase")
        passed = in_errors | _not_shown(self.tree) | {id(inner) for call in phrases for inner in ast.walk(call)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed and WORDS.fullmatch(node.value):
                self._text(node.value, node)
            if isinstance(node, ast.JoinedStr) and id(node) not in passed and _has_words(node) and self.name not in NO_TEXT:
                self.found.problems.append(f"{self.name}:{node.lineno}: {ast.unparse(node)} cannot be translated: write it with tr()")
            if isinstance(node, ast.keyword) and node.arg in ("text", "heading"):
                for text in _literals(node.value):
                    if re.search(r"[A-Za-z]{2}", text):
                        self._text(text, node.value)

    def _hints(self) -> None:
        """Hints that stand as constants at the beginning of a module of the engine."""
        for name, value in self.constants.items():
            if isinstance(value, str) and name.isupper() and re.fullmatch(r"[A-Z][^\n]* [^\n]*\.", value):
                self._text(value, self.tree)


def _called(node: ast.AST) -> str:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _code_and_values(call: ast.Call, name: str) -> tuple[str | None, dict[str, str]]:
    """The code of a sentence, and expression -> name of its values."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    code = keywords.get("code") or (call.args[2] if name in ("UserError", "InUse") and len(call.args) > 2 else None)
    said = keywords.get("values")
    named = said.keywords if isinstance(said, ast.Call) else [each for each in call.keywords if each.arg != "code"]
    values = {ast.unparse(each.value): each.arg for each in named if each.arg}
    return (str(code.value) if isinstance(code, ast.Constant) else None), values


def _constants(path: Path) -> dict[str, object]:
    """Constants of a module and those that it imports from its neighbours."""
    found: dict[str, object] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            file = path.parents[node.level - 1].joinpath(*(node.module or "").split(".")).with_suffix(".py")
            if file.is_file() and file != path:
                theirs = _own_constants(ast.parse(file.read_text(encoding="utf-8")))
                found |= {alias.asname or alias.name: theirs[alias.name] for alias in node.names if alias.name in theirs}
    return found | _own_constants(ast.parse(path.read_text(encoding="utf-8")), found)


def _own_constants(tree: ast.Module, known: dict[str, object] | None = None) -> dict[str, object]:
    found = dict(known or {})
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.expr):
            try:
                found[target.id] = _constant(value, found)
            except (ValueError, KeyError):
                continue
    return found


def _constant(node: ast.expr, known: dict[str, object]) -> object:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(_constant(each.value if isinstance(each, ast.FormattedValue) else each, known)) for each in node.values)
    if isinstance(node, ast.Name):
        return known[node.id]
    return ast.literal_eval(node)


def _literals(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from _literals(node.body)
            yield from _literals(node.orelse)
        case ast.BoolOp():
            for each in node.values:
                yield from _literals(each)


def _templates(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be; what stands in braces is named after its last word."""
    if isinstance(node, ast.IfExp):
        yield from _templates(node.body)
        yield from _templates(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        named: dict[str, str] = {}
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                words = [word for word in re.findall(r"[a-z_]+", ast.unparse(part.value)) if word not in ("len", "names", "join", "self")]
                word = (words or ["value"])[-1].strip("_")
                taken = set(named.values())
                named[ast.unparse(part.value)] = word if word not in taken else f"{word}_{len(taken)}"
        yield "".join(f"{{{named[ast.unparse(part.value)]}}}" if isinstance(part, ast.FormattedValue) else str(ast.literal_eval(part))
                      for part in node.values)
    else:
        yield from _literals(node)


def _not_shown(tree: ast.AST) -> set[int]:
    """Nodes that are no text of the interface: docstrings, parts of f-strings, names of data, what is printed."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            found |= {id(inner) for part in node.values for inner in ast.walk(part)}
        if _called(node) == "print" or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "new"):
            found |= {id(inner) for inner in ast.walk(node)}
    return found


def _has_words(node: ast.JoinedStr) -> bool:
    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return bool(re.search(r"[A-Za-z]{2,} |[A-Za-z]{3,}: | [A-Za-z]{3,}", text))
