"""Engines on other computers: their list in the preferences, and which one trains."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import bpy
from bpy.props import IntProperty, StringProperty

from ...engine.core.errors import UserError
from ...engine.core.protocol.http_messages import PORT
from ...engine.remote.engine import RemoteEngine
from ...engine.remote.http import Address, Connection
from ..translations import sentence, tr
from ..typed import Context, classes_factory
from ..ui.background import BackgroundTask, ThreadWork
from .locations import preferences

HERE = "HERE"

_asked: dict[int, BackgroundTask[ThreadWork[tuple[bool, str]]]] = {}
"""What each engine said when it was last asked, by its number."""

_engines: dict[tuple[Path, Address], RemoteEngine] = {}
_items: list[tuple[str, str, str, str, int]] = []
"""Blender keeps no copy of the strings of a menu that is made on the fly."""


def _forget_answer(entry: SPLATWRIGHT_PG_remote_engine, context: bpy.types.Context) -> None:
    asked(entry.number).forget()


class SPLATWRIGHT_PG_remote_engine(bpy.types.PropertyGroup):
    """An engine on another computer."""

    name: StringProperty(name="Name", default="Engine", description="Name of this engine")
    url: StringProperty(
        name="Address", default=f"http://127.0.0.1:{PORT}", update=_forget_answer,
        description="Where splatwright serve listens; through an SSH tunnel an address of this computer",
    )
    token: StringProperty(
        name="Token", subtype="PASSWORD", update=_forget_answer, description="The token that the engine was started with",
    )
    certificate: StringProperty(
        name="Certificate", subtype="FILE_PATH", update=_forget_answer,
        description="The engine's certificate file, when no authority has signed it. Mostly empty",
    )
    number: IntProperty()

    def address(self) -> Address:
        """Where the engine is reached."""
        certificate = Path(bpy.path.abspath(self.certificate)) if self.certificate else None
        return Address(self.url.strip().rstrip("/"), self.token.strip(), certificate)


def engine_items(preferences: Any, context: bpy.types.Context | None) -> list[tuple[str, str, str, str, int]]:
    """This computer, then every engine of the list. An engine keeps its number when others come and go."""
    others = [(str(entry.number), entry.name or entry.url, tr("Train at {url}",
                                                              url=entry.url), "URL", entry.number) for entry in preferences.engines]
    _items[:] = [(HERE, "This Computer", "Train on this computer", "DESKTOP", 0), *others]
    return _items


def chosen(preferences: Any) -> SPLATWRIGHT_PG_remote_engine | None:
    """The engine that trains; None for this computer."""
    return next((entry for entry in preferences.engines if str(entry.number) == preferences.engine), None)


def engine_at(entry: SPLATWRIGHT_PG_remote_engine, jobs: Path) -> RemoteEngine:
    """The engine of an entry; copies of its jobs lie beside those of this computer. UserError when Blender may not reach it."""
    address = entry.address().check()
    if not bpy.app.online_access and not is_near(address.url):
        raise UserError("Blender may not use the network.", "Allow Online Access in Preferences > System, or train on this computer.",
                        "remote.offline")
    root = jobs / "remote" / re.sub(r"[^\w.-]+", "-", urlsplit(address.url).netloc)
    return _engines.setdefault((root, address), RemoteEngine(root, address))


def is_near(url: str) -> bool:
    """Whether an address is one of this computer, as those of SSH tunnels are."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def close_all() -> None:
    """Follow no remote job any more; they go on."""
    for engine in _engines.values():
        engine.close()
    _engines.clear()


def draw(layout: bpy.types.UILayout, preferences: Any) -> None:
    """The list, one box an engine."""
    layout.prop(preferences, "engine")
    for entry in preferences.engines:
        box = layout.box()
        row = box.row()
        row.prop(entry, "name", text="")
        row.operator("splatwright.test_remote_engine", text="", icon="FILE_REFRESH").number = entry.number
        row.operator("splatwright.remove_engine", text="", icon="X").number = entry.number
        for name in ("url", "token", "certificate"):
            box.prop(entry, name)
        answer = answer_of(entry.number)
        if answer is not None:
            sound, text = answer
            line = box.row()
            line.alert = not sound
            line.label(text=text, icon="CHECKMARK" if sound else "ERROR")
    layout.operator("splatwright.add_engine", icon="ADD")


def asked(number: int) -> BackgroundTask[ThreadWork[tuple[bool, str]]]:
    """The question to an engine of the list."""
    if number not in _asked:
        _asked[number] = BackgroundTask()
    return _asked[number]


def answer_of(number: int) -> tuple[bool, str] | None:
    """Whether an engine of the list answered when it was last asked, and what; None where it was not, or has not yet."""
    work = asked(number).work
    return work.answer if work is not None else None


def ask(address: Address) -> tuple[bool, str]:
    """Whether an engine answers, and what it says of itself."""
    try:
        line = Connection(address)
        try:
            found = line.ask("GET", "/v1/engine")
        finally:
            line.close()
        if found.get("alarm"):
            return False, sentence("", str(found["alarm"]), ())
        busy = tr("{running} jobs running, {waiting} waiting", running=found["running"], waiting=found["waiting"])
        return True, ". ".join(text for text in (tr("Ready: {devices}; {busy}", devices=", ".join(found["devices"]),
                                                    busy=busy), found["note"]) if text)
    except UserError as error:
        return False, str(error)
    except (KeyError, TypeError):
        return False, "What answers there is no engine. Check the address and its port."


def begin_asking(number: int, address: Address) -> ThreadWork[tuple[bool, str]]:
    """Ask an engine of the list; its answer stands in the list as soon as it is there."""
    return asked(number).start(ThreadWork(lambda: ask(address)))


class SPLATWRIGHT_OT_add_engine(bpy.types.Operator):
    """Add an engine on another computer"""

    bl_idname = "splatwright.add_engine"
    bl_label = "Add Remote Engine"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Context) -> set[str]:
        engines = preferences().engines
        number = max((entry.number for entry in engines), default=0) + 1
        engines.add().number = number
        return {"FINISHED"}


class SPLATWRIGHT_OT_remove_engine(bpy.types.Operator):
    """Remove this engine from the list. Its jobs continue"""

    bl_idname = "splatwright.remove_engine"
    bl_label = "Remove Remote Engine"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    number: IntProperty(options={"SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        chosen = preferences()
        if chosen.engine == str(self.number):
            chosen.engine = HERE
        for index, entry in enumerate(chosen.engines):
            if entry.number == self.number:
                chosen.engines.remove(index)
                return {"FINISHED"}
        return {"CANCELLED"}


class SPLATWRIGHT_OT_test_remote_engine(bpy.types.Operator):
    """Ask whether the engine answers, what it trains on and how busy it is"""

    bl_idname = "splatwright.test_remote_engine"
    bl_label = "Test Connection"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    number: IntProperty(options={"SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        entry = next((entry for entry in preferences().engines if entry.number == self.number), None)
        if entry is None:
            return {"CANCELLED"}
        begin_asking(self.number, entry.address())
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_PG_remote_engine, SPLATWRIGHT_OT_add_engine, SPLATWRIGHT_OT_remove_engine, SPLATWRIGHT_OT_test_remote_engine))
