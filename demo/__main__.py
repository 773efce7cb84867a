"""`make demo`: the whole way in one command, on the CPU. Ends with a PLY, pictures and one line of figures."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAMERAS = 64
STEPS = 3000


class Stopwatch:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        print(f"{name} …", flush=True)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)
        print(f"{name}: {self.seconds[name]} s", flush=True)


def main(out: Path = ROOT / "out") -> int:
    """Build, capture, train, place, export, draw."""
    from tools.session import start_extension

    watch = Stopwatch()
    out.mkdir(parents=True, exist_ok=True)
    with watch.stage("start"):
        start_extension(Path(tempfile.mkdtemp(prefix="splatwright-demo-")))
        from demo import blender_steps
        from demo.render_log import renders_logged
    with watch.stage("scene"):
        blender_steps.new_scene()
    with watch.stage("capture"), renders_logged(out / "blender.log", CAMERAS):
        blender_steps.capture(out / "dataset", CAMERAS)
    with watch.stage("train"):
        outcome = blender_steps.train(out / "dataset", out / "jobs", STEPS)
    with watch.stage("place and export"):
        blender_steps.place_and_export(outcome.splats, out / "demo.ply")
    with watch.stage("pictures"), renders_logged(out / "blender.log", 1):
        pictures = blender_steps.draw_pictures(outcome, out)
    figures = {
        "seconds": watch.seconds,
        "first_preview_seconds": outcome.first_preview_seconds,
        "psnr": outcome.psnr,
        "ssim": outcome.ssim,
        "gaussians": outcome.gaussians,
        "files": [str(path.relative_to(ROOT)) for path in [out / "demo.ply", *pictures, outcome.result.with_name("report.html")]],
    }
    print(json.dumps(figures), flush=True)
    return 0


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)  # the bpy module may hang at interpreter exit while an extension is registered
