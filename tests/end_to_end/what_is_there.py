"""What a fresh environment has, as JSON: packages and compilers that it should not have, and where `splatwright` lies."""

import importlib.util
import json
import shutil

import splatwright  # pyright: ignore[reportMissingImports]  # the wheel

packages = [name for name in ("torch", "ziglang", "bpy", "engine") if importlib.util.find_spec(name)]
tools = [name for name in ("cc", "gcc", "clang", "cl", "zig") if shutil.which(name)]
print(json.dumps([packages, tools, splatwright.__file__]))
