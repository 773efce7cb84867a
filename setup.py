"""Finds the packages of the wheel: the folder engine/ is installed as `splatwright`. Everything else stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(packages=["splatwright", *(f"splatwright.{name}" for name in find_packages("engine"))])
