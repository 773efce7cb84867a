"""Cameras of photos as tutorials find them, with pycolmap's default options; of several models they take the first.

    python plain_pycolmap.py PHOTOS WORK
"""

import sys
from pathlib import Path

import pycolmap

photos, work = map(Path, sys.argv[1:])
pycolmap.extract_features(work / "database.db", photos)
pycolmap.match_exhaustive(work / "database.db")
models = pycolmap.incremental_mapping(work / "database.db", photos, work)
(work / "sparse" / "0").mkdir(parents=True)
models[0].write(work / "sparse" / "0")
