"""Train splats from a folder of posed images, on this computer: python examples/01_train.py DATASET scene.ply [STEPS]"""

import sys
import time
from pathlib import Path

from splatwright.core.formats.registry import read_splats, write_splats
from splatwright.core.protocol.config import TrainConfig
from splatwright.core.protocol.events import Progress
from splatwright.core.protocol.spec import JobSpec
from splatwright.jobs.local_engine import JobState, LocalEngine

dataset, output = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
config = TrainConfig(max_steps=int(sys.argv[3]) if len(sys.argv) > 3 else 2000)

engine = LocalEngine(output.parent / "jobs")  # the worker is a process of its own; its folder lies here
job, cursor, alive = engine.submit(JobSpec(dataset, config, output.stem)), 0, True
while alive:
    alive = engine.state(job).alive
    events, cursor = engine.events(job, cursor)
    for event in events:
        if isinstance(event, Progress):
            print(f"step {event.step} of {event.max_steps}, loss {event.loss:.4f}, {event.gaussians} Gaussians", flush=True)
    time.sleep(0.2)

if engine.state(job) is not JobState.FINISHED:
    sys.exit(f"The training did not finish: {engine.events(job)[0][-1]}")
result = read_splats(engine.folder(job).result)
write_splats(output, result.gaussians, "SUPERSPLAT", result.antialiased, offset=result.offset)
print(f"{len(result.gaussians)} Gaussians in {output}; everything about the training lies in {engine.folder(job).path}")
