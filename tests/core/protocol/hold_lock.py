"""Holds the lock of a job folder for a minute: `python hold_lock.py FOLDER [--become-another]`; the latter as another program."""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from engine.core.protocol.lock import holding

with holding(Path(sys.argv[1])) as held:
    print(held, flush=True)
    if "--become-another" in sys.argv:
        os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"])
    time.sleep(60)
