"""Datasets as strangers have them, a folder each, read and checked: `python -m tests.cases.datasets FOLDER [--train] [NAME ...]`.

A line for each: the views, masks and points that were found, what was said, and whether that is what a user expects. With --train a short
training of each follows, and its PSNR on held-out views beside the plain scene's (`tj_base`), on the same views.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.config import PRESETS, TrainConfig
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.spec import JobSpec
from engine.preflight import check
from engine.training.trainer import train
from engine.worker import Preflight

VIEWS = 16
PLAIN = "tj_base"
FARTHEST = 0.3
"""dB that a training may lie below the plain scene's."""

CONFIG = TrainConfig(**{**PRESETS["quick-look"].settings, "max_steps": 400, "resolution": 200, "max_gaussians": 6000})


@dataclass(frozen=True)
class Expected:
    """What a user expects of a case. `said` are words of a finding each, `refused` words of the sentence that ends it."""

    views: int = VIEWS
    masks: int = 0
    points: bool = True
    said: tuple[str, ...] = ()
    refused: str = ""
    like: str = PLAIN
    """the case whose training comes as near to the held-out views, or a little less; empty where fewer or other photos make that unfair"""


NO_CAMERAS = Expected(refused="no cameras")
EXPECTED = {
    "colmap_msvc_nan": Expected(14, said=("cameras.txt, line 3: camera 2 (OPENCV) has impossible intrinsics: 400 x 266, -nan(ind)",)),
    "colmap_wrong_param_count": Expected(refused="cameras.txt, line 2: camera 1 is RADIAL, which has 5 parameters, and not 6"),
    "colmap_points_no_error": Expected(said=("points3D.txt, line 2 has no reprojection error",)),
    "colmap_no_points_file": Expected(points=False, said=("no start points",), like=""),
    "colmap_empty_points": Expected(points=False, said=("no start points",), like=""),
    "colmap_nan_pose": Expected(15, said=("images.txt, line 10: DSC_0427.jpg has a pose with NaN",)),
    "colmap_missing_cam": Expected(15, said=("images.txt, line 32: DSC_0438.jpg refers to camera 2",)),
    "colmap_mixed_sizes_one_camera": Expected(15, said=("300 x 266 pixels, its camera says 400 x 266",)),
    "colmap_truncated_jpg": Expected(15, said=("DSC_0426.jpg is damaged and cannot be read",)),
    "colmap_missing_images": Expected(10, said=("not there (6 of 16)",), like=""),
    "colmap_outlier_cam": Expected(said=("DSC_0427",)),
    "colmap_partial_masks": Expected(masks=4, said=("without a mask",)),
    "colmap_masks_jpg": Expected(masks=16, like=""), "colmap_masks_dir_mask": Expected(masks=16, like="colmap_masks_jpg"),
    "colmap_masks_jpg_occluder": Expected(masks=16, like="colmap_masks_jpg"),
    "tj_null_pose": Expected(15, said=("Frame 6 of transforms.json (images/DSC_0428.jpg) is without a valid pose",)),
    "tj_missing_some": Expected(12, said=("not there (4 of 16)",)),
    "tj_dup_frames": Expected(said=("an earlier frame has",)),
    "tj_noply": Expected(points=False, said=("no start points",), like=""),
    "tj_ply_missing": Expected(points=False, said=("sparse_pc.ply, named in transforms.json, are not there",), like=""),
    "tj_ply_nocolor": Expected(said=("same colour",)),
    "tj_opencv_poses": Expected(refused="flipped"), "tj_w2c_poses": Expected(refused="poses"),
    "px_png16grey": Expected(like=""), "px_grey_jpg": Expected(like=""), "px_rgba_alpha": Expected(like=""),
    "nerf_synth": Expected(points=False, like=""), "polycam_raw": Expected(points=False, like=""),
    "graphdeco_cameras_json": Expected(points=False, like=""),
    "llff": NO_CAMERAS, "metashape_xml": NO_CAMERAS, "realitycapture_csv": NO_CAMERAS, "opensfm": NO_CAMERAS,
    "zipped": Expected(refused="ZIP"),
    "photos_messy": NO_CAMERAS, "photos_two": NO_CAMERAS,
}
"""Cases that are not read as the plain scene is."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case, and what is wrong with that."""

    happened: str
    problems: list[str] = field(default_factory=list)
    usable: Dataset | None = None


def main(folder: Path, training: bool = False, names: tuple[str, ...] = ()) -> int:
    """Print the table; returns the number of cases that are not as expected."""
    cases = sorted(path for path in folder.iterdir() if path.is_dir() and (not names or path.name in names))
    start, wrong = time.perf_counter(), 0
    for path in cases:
        outcome = outcome_of(path)
        if training and outcome.usable is not None:
            outcome = trained(outcome, path)
        wrong += bool(outcome.problems)
        said = f" | {'; '.join(outcome.problems)}" if outcome.problems else ""
        print(f"{'BAD' if outcome.problems else 'ok '} {path.name:30} {outcome.happened}{said}", flush=True)
    print(f"{len(cases)} datasets, {wrong} not as expected, {time.perf_counter() - start:.1f} s")
    return wrong


def outcome_of(path: Path) -> Outcome:
    """Read and check a dataset."""
    expected = EXPECTED.get(path.name, Expected())
    try:
        dataset = read_dataset(path)
        checked = check(dataset, config=CONFIG)
    except UserError as error:
        sentence = f"{error.message} {error.hint}"
        good = expected.refused and expected.refused in sentence
        return Outcome(f"refused: {sentence}", [] if good else [f"expected: {expected.refused or 'to be read'}"])
    except Exception as error:  # a table shows what broke, whatever it is
        return Outcome(f"{type(error).__name__}: {error}", ["an unforeseen error"])
    usable, said = checked.usable, [f"{finding.severity}: {finding.message}" for finding in checked.findings]
    if expected.refused:
        good = any(words.startswith("error") and expected.refused in words for words in said)
        return Outcome(f"told: {' '.join(said)}", [] if good else [f"expected: {expected.refused}"])
    masks = sum(view.mask is not None for view in usable.views)
    points = usable.points is not None and len(usable.points) > 0
    figures = [("views", len(usable.views), expected.views), ("masks", masks, expected.masks), ("points", points, expected.points)]
    problems = [f"{what}: {found}, expected {wanted}" for what, found, wanted in figures if found != wanted]
    problems += [f"not said: {words}" for words in expected.said if not any(words in sentence for sentence in said)]
    problems += [sentence for sentence in said if sentence.startswith("error")]
    happened = f"{len(usable.views)} views, {len(usable.eval_views)} held out, {masks} masks, {'points' if points else 'no points'}"
    shown = "; ".join(sentence for sentence in said if not sentence.startswith("info") or expected.said)
    return Outcome(f"{happened}{f'. {shown}' if shown else ''}", problems, usable)


def trained(outcome: Outcome, path: Path) -> Outcome:
    """The outcome with the PSNR of a short training, beside that of the case that it should be like, on the same views."""
    like = EXPECTED.get(path.name, Expected()).like
    try:
        ours, plain = scores(path), scores(path.with_name(like or PLAIN))
    except UserError as error:
        return Outcome(outcome.happened, [*outcome.problems, f"training: {error.message}"])
    shared = sorted(set(ours) & set(plain)) or sorted(plain)[: len(ours)]
    psnr = float(np.mean(list(ours.values()))) if ours else float("nan")
    usual = float(np.mean([plain[name] for name in shared])) if shared else float("nan")
    problems = [f"PSNR {usual - psnr:.2f} dB below that of {like}"] if like and not psnr > usual - FARTHEST else []
    return Outcome(f"{psnr:.2f} dB ({like or PLAIN} {usual:.2f}); {outcome.happened}", [*outcome.problems, *problems])


@cache
def scores(path: Path) -> dict[str, float]:
    """PSNR by the stems of the held-out views of a short training."""
    with tempfile.TemporaryDirectory() as folder:
        job = JobFolder(Path(folder) / "job")
        job.path.mkdir()
        job.write_spec(JobSpec(path, CONFIG))
        train(job, lambda event: None, job.control, checks=Preflight())
        return {Path(view["name"]).stem: view["psnr"] for view in json.loads(job.report.read_text(encoding="utf-8"))["views"]}


if __name__ == "__main__":
    words = sys.argv[1:]
    flags = [word for word in words if word.startswith("--")]
    places = [word for word in words if not word.startswith("--")]
    if not places or not Path(places[0]).is_dir() or set(flags) - {"--train"}:
        sys.exit("Name the folder of the datasets; --train trains each for a moment, names choose some.")
    sys.exit(min(main(Path(places[0]), bool(flags), tuple(places[1:])), 1))
