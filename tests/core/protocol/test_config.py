"""Settings and presets: every one has a sentence and a range, and every preset is a training that can be asked for."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from engine.core.errors import UserError
from engine.core.protocol.config import PRESETS, PresetName, TrainConfig, config_from_json, config_to_json, describe, limits
from engine.core.protocol.spec import JobSpec, spec_to_json

CHOICES = {"guides", "course", "backend", "background", "strategy", "mask_meaning", "antialiased", "start", "smoke_test", "surfaces",
           "pause_on_failure", "anyway"}


@pytest.mark.parametrize("name", [field.name for field in fields(TrainConfig)])
def test_every_setting_has_a_sentence_and_a_range(name: str) -> None:
    assert len(describe(name)) > 10 and not describe(name).endswith(".")
    if name == "course":
        with pytest.raises(UserError, match="course"):
            TrainConfig(course="0:10 5").validate()
    elif name not in CHOICES:
        low, high = limits(name)
        assert low <= getattr(TrainConfig, name) <= high
        with pytest.raises(UserError, match=name):
            TrainConfig(**{name: high * 2 + 1}).validate()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_trainings(name: PresetName) -> None:
    config = TrainConfig(**PRESETS[name].settings).validate()
    assert config_from_json(config_to_json(config)) == config
    assert config.refine_every < config.max_steps and config.eval_every <= config.max_steps


def test_presets_are_those_of_the_command_line() -> None:
    assert list(PRESETS) == list(get_args(PresetName))
    assert [PRESETS[name].settings["max_steps"] for name in ("gpu-preview", "standard", "full")] == [7_000, 15_000, 30_000]


@pytest.mark.parametrize("name, value", [("antialiased", 1), ("antialiased", "yes"), ("strategy", "best"), ("mask_meaning", True),
                                         ("sky", 1.5), ("depth_weight", float("nan")), ("lr_poses", "1")])
def test_values_of_another_kind_are_one_sentence(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name) as caught:
        TrainConfig(**{name: value}).validate()  # type: ignore[arg-type]
    assert caught.value.hint


def test_settings_of_later_versions_are_written_where_they_are_chosen() -> None:
    assert "anyway" not in config_to_json(TrainConfig()) and config_to_json(TrainConfig(anyway=True))["anyway"] is True
    assert config_from_json(config_to_json(TrainConfig(anyway=True))).anyway
    assert "exclude" not in spec_to_json(JobSpec(Path("a"), TrainConfig()))
