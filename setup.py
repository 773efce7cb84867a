"""Names the packages and the version of the wheel: the folder engine/ is installed as `splatwright`. All else stands in pyproject.toml."""

import tomllib
from pathlib import Path

from setuptools import find_packages, setup

manifest = tomllib.loads(Path("blender_manifest.toml").read_text(encoding="utf-8"))
setup(version=manifest["version"], packages=["splatwright", *(f"splatwright.{name}" for name in find_packages("engine"))])
