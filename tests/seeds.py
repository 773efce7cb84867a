"""Random numbers of tests: the same in every run, others with SPLATWRIGHT_SEED. The seed is printed; pytest shows it for a failure."""

from __future__ import annotations

import os
import random

VARIABLE = "SPLATWRIGHT_SEED"


def seeded(default: int = 0) -> random.Random:
    """A source of random numbers whose seed is printed."""
    seed = int(os.environ.get(VARIABLE, default))
    print(f"seed {seed}; {VARIABLE} chooses another")
    return random.Random(seed)
