"""Trainings of before: listed, shown, renamed, deleted, trained further; copies of scenes own none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.fake_engine import FINAL_SPLATS
from tests.untyped import bpy

from ..conftest import module
from .training import Desk


def listed() -> list[Any]:
    earlier = module("addon.jobs.earlier")
    earlier.wait()
    return earlier.rows()


def trained(desk: Desk) -> str:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    return desk.name


def test_the_newest_comes_first_with_what_it_has_come_to(desk: Desk) -> None:
    first = trained(desk)
    desk.train("crashing")
    desk.wait(lambda: desk.job.state.value == "interrupted")
    rows = listed()
    assert [row.name for row in rows] == [desk.name, first]
    assert (rows[1].psnr, rows[1].steps, rows[1].thumbnail) == (31.5, 3000, None) and rows[0].steps == 1500


def test_a_look_that_was_made_is_not_made_again_until_something_changes(desk: Desk) -> None:
    trained(desk)
    earlier = module("addon.jobs.earlier")
    rows = listed()
    (desk.folder / "title").write_text("unseen")
    assert earlier.rows() == rows and not earlier._looking.running
    bpy.ops.splatwright.rename_training(job=desk.name, title="Chair – 椅子")
    assert earlier.rows() == rows, "what was there stays until the new look is done"
    assert [row.title for row in listed()] == ["Chair – 椅子"] and desk.job.title == "Chair – 椅子"


def test_an_empty_name_gives_back_the_first_one(desk: Desk) -> None:
    name = trained(desk)
    bpy.ops.splatwright.rename_training(job=name, title="Chair")
    bpy.ops.splatwright.rename_training(job=name, title="  ")
    assert listed()[0].title == "dataset" and (desk.choice.engine().folder(name).path / "job.json").exists()


def test_deleted_the_splats_stay(desk: Desk) -> None:
    name = trained(desk)
    made = desk.splats()
    assert bpy.ops.splatwright.delete_training(job=name) == {"FINISHED"}
    assert not desk.choice.engine().folder(name).path.exists() and listed() == []
    assert len(made.data.points) == FINAL_SPLATS and not made.splatwright.job and not made.splatwright.source
    assert not bpy.context.scene.splatwright.job and desk.jobs.current(bpy.context.scene) is None
    assert (desk.dataset / "transforms.json").exists()


def test_what_must_not_be_deleted_is_not(desk: Desk) -> None:
    desk.train("slow")
    with pytest.raises(RuntimeError, match=r"The training is running\. Stop it first\."):
        bpy.ops.splatwright.delete_training(job=desk.name)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    desk.splats().splatwright.linked = True
    with pytest.raises(RuntimeError, match="are read from this training"):
        bpy.ops.splatwright.delete_training(job=desk.name)
    assert (desk.folder / "result.ply").exists()
    for call in (bpy.ops.splatwright.delete_training, bpy.ops.splatwright.rename_training, bpy.ops.splatwright.show_training):
        with pytest.raises(RuntimeError, match="There is no training elsewhere"):
            call(job="elsewhere")


def test_a_dialog_whose_usual_answer_is_cancel_asks_before_deleting(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    name, asked = trained(desk), {}
    kind = module("addon.operators.earlier").SPLATWRIGHT_OT_delete_training

    class Manager:
        @staticmethod
        def invoke_props_dialog(operator: Any, **options: Any) -> set[str]:
            asked.update(options)
            return {"RUNNING_MODAL"}

    class Operator:
        job = name

    class Context:
        window_manager = Manager

    assert kind.invoke(Operator(), Context(), None) == {"RUNNING_MODAL"}
    assert asked["cancel_default"] and asked["confirm_text"] == "Delete"


def test_shown_it_comes_into_the_scene(desk: Desk) -> None:
    name = trained(desk)
    bpy.data.objects.remove(desk.splats())
    bpy.context.scene.splatwright.job = ""
    assert bpy.ops.splatwright.show_training(job=name) == {"FINISHED"}
    desk.wait(lambda: desk.job.imported)
    assert len(desk.splats().data.points) == FINAL_SPLATS


def test_trained_further_it_is_the_same_training(desk: Desk) -> None:
    name, made = trained(desk), None
    made = desk.splats()
    (desk.folder / "turn").write_text("5")  # the stand-in counts its turns, not its steps
    bpy.context.scene.splatwright.further_steps = 600
    assert bpy.ops.splatwright.train_further() == {"FINISHED"}
    assert desk.name == name and desk.job.state.alive
    config = desk.choice.engine().spec(name).config
    assert (config.max_steps, config.planned_steps) == (3600, 3000)
    desk.wait(lambda: desk.job.imported and not desk.job.state.alive)
    assert desk.job.step == 3600 and desk.splats() == made


def test_while_it_runs_it_is_not_trained_further(desk: Desk) -> None:
    assert not bpy.ops.splatwright.train_further.poll()
    desk.train("slow")
    assert not bpy.ops.splatwright.train_further.poll()


@pytest.mark.parametrize("kind", ["NEW", "EMPTY", "LINK_COPY", "FULL_COPY"])
def test_a_new_or_copied_scene_starts_clean(desk: Desk, kind: str) -> None:
    name, first = trained(desk), bpy.context.scene
    module("addon.properties.datasets").remember_captured(first, desk.dataset)
    first.splatwright.capture.directory = str(desk.dataset)
    assert bpy.ops.scene.new(type=kind) == {"FINISHED"}
    copied = bpy.context.scene
    copied.splatwright.train.dataset = ""
    copied.splatwright.capture.directory = str(desk.dataset)
    assert copied != first and desk.jobs.current(copied) is None
    assert "no dataset yet" in module("addon.operators.training").problem(copied)
    module("addon.jobs.copied_scenes").forget_belongings()
    assert (copied.splatwright.job, copied.splatwright.captured, copied.splatwright.untrained) == ("", "", False)
    assert first.splatwright.job == name and desk.jobs.current(first) is not None and first.splatwright.captured
    owned = [item for item in bpy.data.objects if item.splatwright.job == name]
    assert [next(iter(item.users_scene)) for item in owned] == [first]
    assert bool(next((item for item in copied.objects if item.splatwright.is_splat), None)) == (kind in ("LINK_COPY", "FULL_COPY"))


def test_a_copy_that_is_saved_is_no_original_when_it_is_opened(desk: Desk, tmp_path: Path) -> None:
    name, first = trained(desk), bpy.context.scene.name
    bpy.ops.scene.new(type="FULL_COPY")
    copied = bpy.context.scene.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scenes.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scenes.blend"))
    assert desk.jobs.current(bpy.data.scenes[first]).name == name and not bpy.data.scenes[copied].splatwright.job


def test_a_training_begun_in_a_copy_is_its_own(desk: Desk) -> None:
    name, first = trained(desk), bpy.context.scene
    bpy.ops.scene.new(type="LINK_COPY")
    second = trained(desk)
    assert second != name and desk.jobs.current(first).name == name and desk.jobs.current(bpy.context.scene).name == second


def test_the_same_training_may_be_shown_in_two_scenes(desk: Desk) -> None:
    name, first = trained(desk), bpy.context.scene
    bpy.ops.scene.new(type="NEW")
    bpy.ops.splatwright.show_training(job=name)
    module("addon.jobs.copied_scenes").forget_belongings()
    assert desk.jobs.current(first) is desk.jobs.current(bpy.context.scene) is not None
