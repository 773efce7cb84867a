"""Train on another computer, where `splatwright serve` runs, with its token in SPLATWRIGHT_TOKEN:

python examples/05_remote_engine.py http://127.0.0.1:8787 DATASET scene.ply [STEPS]
"""

import os
import sys
import time
from pathlib import Path

from splatwright.core.formats.registry import read_splats, write_splats
from splatwright.core.protocol.config import TrainConfig
from splatwright.core.protocol.spec import JobSpec
from splatwright.jobs.local_engine import JobState
from splatwright.remote.engine import RemoteEngine
from splatwright.remote.http import Address

dataset, output = Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
config = TrainConfig(max_steps=int(sys.argv[4]) if len(sys.argv) > 4 else 2000)

engine = RemoteEngine(output.parent / "remote jobs", Address(sys.argv[1], os.environ.get("SPLATWRIGHT_TOKEN", "")))
engine.reach()  # a sentence at once where nobody answers
job, cursor, alive = engine.submit(JobSpec(dataset, config, output.stem)), 0, True
while alive:  # a thread sends the images and keeps a copy of the job folder here; cut connections go on where they ended
    alive = engine.state(job).alive
    events, cursor = engine.events(job, cursor)
    for event in events:
        print(event, flush=True)
    time.sleep(0.2)

if engine.state(job) is not JobState.FINISHED:
    sys.exit(f"The training did not finish: {engine.events(job)[0][-1]} {engine.note(job)}")
result = read_splats(engine.folder(job).result)
write_splats(output, result.gaussians, "SUPERSPLAT", result.antialiased, offset=result.offset)
print(f"{len(result.gaussians)} Gaussians in {output}")
engine.close()
