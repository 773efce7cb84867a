"""Measure a splat file on the images that its training never saw: python examples/04_evaluate.py scene.ply DATASET"""

import sys
from pathlib import Path

from splatwright.core.errors import UserError
from splatwright.evaluation.held_out import held_out_for
from splatwright.evaluation.measure import mean_row, measure_file, table

scene, dataset = Path(sys.argv[1]), Path(sys.argv[2])

try:
    held_out = held_out_for(scene, dataset)  # every eighth image by name, unless the dataset says which
    rows = measure_file(scene, held_out)
except UserError as error:  # the only exception meant for people: a sentence, and what to do
    sys.exit(f"{error.message} {error.hint}")

print("\n".join(table(rows)))
worst = min(rows, key=lambda row: row.psnr)
print(f"{mean_row(rows).psnr:.2f} dB on average; {worst.name} is the worst with {worst.psnr:.2f} dB")
