"""The table of the kinds of jobs."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path
from typing import get_args

import pytest

from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.spec import (
    KINDS,
    FramesSpec,
    JobKind,
    JobSpec,
    PosesSpec,
    Spec,
    kind_of,
    output_of,
    source_of,
    spec_from_json,
    spec_to_json,
    with_source,
)

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES: tuple[Spec, ...] = (JobSpec(Path("/a"), TrainConfig(gpus=3), "n", ("a.jpg",)),
                              PosesSpec(Path("/a"), name="n", dataset=Path("/elsewhere")),
                              FramesSpec(Path("/a"), name="n", photos=Path("/elsewhere")))


def test_every_spec_has_a_row() -> None:
    assert {kind.spec for kind in KINDS.values()} == set(get_args(Spec)) == {type(spec) for spec in EXAMPLES}
    assert all(name == kind.name for name, kind in KINDS.items())


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_row_is_sound(kind: JobKind) -> None:
    names = {field.name for field in dataclasses.fields(kind.spec)}
    extras = {extra.name for extra in kind.extras}
    assert {kind.source, kind.settings, "name"} | {kind.output, kind.names} - {""} | extras == names, "all that a spec holds is written"
    assert bool(kind.output) != bool(kind.results) and kind.words
    module, _, function = kind.run.partition(":")
    body = ast.parse((ROOT / "engine" / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")).body
    runs = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == function]
    assert [argument.arg for argument in runs[0].args.args] == ["job", "emit", "control"]


@pytest.mark.parametrize("spec", EXAMPLES, ids=list(KINDS))
def test_what_is_told_of_a_spec(spec: Spec) -> None:
    kind = kind_of(spec)
    assert spec_from_json(json.loads(json.dumps(spec_to_json(spec)))) == spec
    assert source_of(spec) == Path("/a") and (output_of(spec) == Path("/elsewhere") if kind.output else output_of(spec) is None)
    moved = with_source(spec, Path("/b"))
    assert source_of(moved) == Path("/b") and output_of(moved) in (None, Path("dataset"), Path("photos")) and moved.name == "n"
    assert kind.cards(spec) == (3 if isinstance(spec, JobSpec) else 1)


def test_nobody_else_tells_the_kinds_apart() -> None:
    """Two specs in one function or expression mean a chain that a new kind would have to find."""
    specs = {kind.spec.__name__ for kind in KINDS.values()}
    for path in (*(ROOT / "engine").rglob("*.py"), *(ROOT / "addon").rglob("*.py")):
        if path.name == "spec.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            assert len(specs & {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}) < 2, f"{path}: {node.name}"


def test_an_unknown_kind_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"protocol": 1, "kind": "baking", "dataset": "a", "config": {}}')
    with pytest.raises(UserError, match="'baking'") as caught:
        JobFolder(tmp_path).read_any()
    assert caught.value.hint
