"""Write a splat file in another format: python examples/02_convert.py scene.ply scene.spz"""

import sys
from pathlib import Path

from splatwright.core.formats.registry import format_of, lost_in, read_splats, write_splats

source, output = Path(sys.argv[1]), Path(sys.argv[2])

splats = read_splats(source)  # in Blender's world: Z up, metres
gaussians = splats.gaussians
print(f"{len(gaussians)} Gaussians of SH degree {gaussians.sh_degree}")
print(f"from {gaussians.means.min(axis=0).round(2)} to {gaussians.means.max(axis=0).round(2)}")

write_splats(output, gaussians, "SUPERSPLAT", splats.antialiased, offset=splats.offset)  # the name chooses the format
for sentence in lost_in(format_of(output), gaussians):
    print(sentence)
print(f"{source.stat().st_size} bytes have become {output.stat().st_size}")
