"""Settings of the next training."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ...engine.core.former_names import SETTINGS
from ...engine.core.protocol.config import DEFAULT_PRESET, PRESETS, TIMES, TrainConfig
from ..typed import splat_settings
from .defaults import shown


def _preset_chosen(settings: "TrainSettings", context: bpy.types.Context) -> None:
    for name in {name for preset in PRESETS.values() for name in preset.settings} & set(TrainSettings.__annotations__):
        setattr(settings, name, PRESETS[settings.preset].settings.get(name, getattr(TrainConfig, name)))


_TIME_ITEMS = tuple((name, label, "As many steps as are set" if not minutes else "Steps, resolution and splats are fitted into the time")
                    for name, (label, minutes) in TIMES.items())


def _time_of(settings: Any) -> int:
    near = (number for number, (_, minutes) in enumerate(TIMES.values()) if abs(settings.minutes - minutes) < 1e-3)
    return next(near, len(TIMES))


def _choose_time(settings: Any, number: int) -> None:
    settings.minutes = tuple(TIMES.values())[number][1] if number < len(TIMES) else 5.0


def _is_splats(settings: "TrainSettings", item: bpy.types.Object) -> bool:
    return splat_settings(item).is_splat


NO_SETTINGS = ("dataset", "preset", "time", "start_file", "start_object", "region")
"""What belongs to a training beside TrainConfig."""


class TrainSettings(bpy.types.PropertyGroup):
    """Settings of the next training. Defaults, limits and descriptions are TrainConfig's."""

    dataset: StringProperty(
        name="Dataset", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Folder, file or ZIP with images and cameras: nerfstudio, COLMAP, RealityScan, Metashape and others. "
                    "Empty: the dataset that was captured last",
    )
    start_file: StringProperty(
        name="Start From", subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Splats to begin with: a file in the dataset's place and size, or the folder of a finished training, also of fewer "
                    "photos. Empty: start points or depth maps",
    )
    start_object: PointerProperty(
        type=bpy.types.Object, name="Splat Object", poll=_is_splats,
        description="Splats of this file to begin with, as they stand in the scene, instead of a file",
    )
    region: PointerProperty(
        type=bpy.types.Object, name="Region",
        description="The object around which the training does its best: outside of its box only the background grows, "
                    "of a tenth of the splats. Empty: everywhere alike",
    )
    preset: EnumProperty(
        name="Preset", default=DEFAULT_PRESET, update=_preset_chosen, description="Settings that go together; each can be changed after",
        items=tuple((name, preset.label, preset.sentence[0].upper() + preset.sentence[1:]) for name, preset in PRESETS.items()),
    )
    minutes: FloatProperty(precision=1, **shown(TrainConfig, "minutes"))
    time: EnumProperty(
        name="Time", items=(*_TIME_ITEMS, ("OTHER", "Other", "So many minutes")), get=_time_of, set=_choose_time,
        options={"SKIP_SAVE"}, description="How long the training shall take; steps, resolution and splats are fitted into it",
    )
    """What panels show in the place of `minutes`."""

    max_steps: IntProperty(**shown(TrainConfig, "max_steps"))
    max_gaussians: IntProperty(**shown(TrainConfig, "max_gaussians"))
    resolution: IntProperty(subtype="PIXEL", **shown(TrainConfig, "resolution"))
    sh_degree: IntProperty(**shown(TrainConfig, "sh_degree"))
    background: EnumProperty(
        items=(("random", "Random", "Keeps transparent parts free of splats"), ("black", "Black", "Always black"),
               ("white", "White", "Always white")),
        **shown(TrainConfig, "background"),
    )
    seed: IntProperty(**shown(TrainConfig, "seed"))
    threads: IntProperty(**shown(TrainConfig, "threads"))
    image_memory: FloatProperty(**shown(TrainConfig, "image_memory"))
    max_minutes: FloatProperty(precision=0, **shown(TrainConfig, "max_minutes"))
    budget_hours: FloatProperty(precision=1, **shown(TrainConfig, "budget_hours"))
    budget_cost: FloatProperty(precision=2, **shown(TrainConfig, "budget_cost"))
    guides: BoolProperty(**shown(TrainConfig, "guides"))
    trial: BoolProperty(**shown(TrainConfig, "smoke_test"))
    pause_when_sick: BoolProperty(**shown(TrainConfig, "pause_on_failure"))
    anyway: BoolProperty(**shown(TrainConfig, "anyway"))

    def to_config(self) -> TrainConfig:
        """The training request that these settings make; files keep some under their former names."""
        names = [name for name in TrainSettings.__annotations__ if name not in NO_SETTINGS]
        chosen = {SETTINGS.get(name, name): getattr(self, name) for name in names}
        return TrainConfig(**(PRESETS[self.preset].settings | chosen)).validate()
