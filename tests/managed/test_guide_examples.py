"""The examples of docs/managed_jobs.md: their JSON and YAML can be read, their commands and settings are understood."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from engine.managed.parameters import parameters_from, read_parameters
from engine.managed.run import Exit
from tests.test_docs import understood

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "managed_jobs.md").read_text(encoding="utf-8")


def block(kind: str, word: str) -> str:
    return next(found for found in re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL) if word in found)


def settings_of(words: list[str]) -> list[str]:
    rest = words[words.index("--settings") + 1 :]
    return rest[: next((number for number, word in enumerate(rest) if word.startswith("--")), len(rest))]


def test_sagemaker() -> None:
    job: dict[str, Any] = json.loads(block("json", "TrainingJobName"))
    assert job["AlgorithmSpecification"]["ContainerEntrypoint"] == ["splatwright", "job"]
    assert parameters_from(job["HyperParameters"]).config.budget_hours == 3
    understood(["job", "train"])


def test_vertex() -> None:
    container = yaml.safe_load(block("yaml", "workerPoolSpecs"))["workerPoolSpecs"][0]["containerSpec"]
    assert container["command"] == ["splatwright", "job"]
    understood(["job", *container["args"]])
    assert read_parameters(None, settings_of(container["args"])).config.max_steps == 15_000


def test_batch_retries_what_another_try_can_mend() -> None:
    job: dict[str, Any] = json.loads(block("json", "jobDefinitionName"))
    words = job["containerProperties"]["command"]
    understood(["job", *words])
    read_parameters(None, settings_of(words))
    rules = {int(rule["onExitCode"]): rule["action"] for rule in job["retryStrategy"]["evaluateOnExit"]}
    assert rules == {Exit.INTERRUPTED: "RETRY", Exit.FAILED: "RETRY", Exit.BAD_INPUT: "EXIT"}


def test_a_container_on_a_rented_machine() -> None:
    command = re.search(r"docker run .*\\\n.*\\\n.*", GUIDE)
    assert command
    words = shlex.split(command[0].replace("\\\n", " "))
    understood(words[words.index("job") :])
    assert read_parameters(None, settings_of(words)).config.budget_cost == 2
