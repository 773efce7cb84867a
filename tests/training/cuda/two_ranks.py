"""One of several processes that train a job together on CPU tensors: `torchrun --nproc-per-node 2 tests/training/cuda/two_ranks.py JOB`.

Leaves each process's Gaussians and moments beside the job.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from engine.core.cameras.camera import Camera
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.folder import JobFolder
from engine.core.splats.gaussians import Gaussians
from engine.training import run
from engine.training.backend import BackendName
from engine.training.cuda.launch import join, leave
from engine.training.cuda.model import TorchModel
from engine.training.engines import BackendChoice
from engine.training.group import SOLO, Group
from engine.training.trainer import train
from tests.training.cuda.torch_models import torch_model


def main(folder: Path, stop_at: int) -> None:
    """Train; with `stop_at` the first process is asked to stop after so many questions."""
    torch.set_num_threads(1)
    run.choose_backend = lambda config, tick: BackendChoice("cuda", "Training on tensors of the processor.")
    group = join()
    questions = iter(range(stop_at or sys.maxsize))
    models: list[TorchModel] = []

    class Remembered(TorchModel):
        """Leaves its state when it is closed."""

        def close(self) -> None:
            if self in models and self.count:
                np.savez(folder / f"rank{group.rank}.npz", **self.state())
                models.remove(self)
            super().close()

    def make(gaussians: Gaussians, config: TrainConfig, engine: BackendName, cameras: Sequence[Camera] = (),
             group: Group = SOLO) -> TorchModel:
        model = torch_model(gaussians, config, engine, cameras, group)
        if cameras:
            model.__class__ = Remembered
            models.append(model)
        return model

    job = JobFolder(folder)
    train(job, job.append_event, lambda: "run" if next(questions, None) is not None else "stop", group, make)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
