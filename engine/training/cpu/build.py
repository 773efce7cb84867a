"""Compiles the kernels with zig's clang: `python -m engine.training.cpu.build` for this computer, `--all` for every platform.

Needs the package ziglang and nothing else. A file is rebuilt only when a source is newer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ...core.files import remove_file, rename
from .library import FOLDER, file_name, host_builds

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[2] / ".cache" / "zig"
# No -ffast-math: it deletes the rounding in exp2_8 and the tests for NaN.
FLAGS = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra"]


@dataclass(frozen=True)
class Build:
    """One shared library: where it runs and how it is compiled."""

    system: str
    machine: str
    variant: str
    target: str
    cpu: str

    @property
    def output(self) -> Path:
        return FOLDER / file_name(self.system, self.machine, self.variant)

    def compiler(self, cpu: str) -> list[str]:
        """zig's clang for the platform and a processor."""
        return [sys.executable, "-m", "ziglang", "cc", "-target", self.target, f"-mcpu={cpu}"]

    def compile_command(self, compiled: Path) -> list[str]:
        """Makes the object file."""
        position = [] if self.system == "windows" else ["-fPIC"]
        wide = ["-mprefer-vector-width=512"] if self.variant == "avx512" else []
        return [*self.compiler(self.cpu), *FLAGS, *wide, *position, "-c", str(HERE / "splat.c"), "-o", str(compiled)]

    def link_command(self, compiled: Path, output: Path) -> list[str]:
        """Makes the library, with the C library of the platform's plainest processor: zig builds one for each, for minutes."""
        plainest = next(build.cpu for build in BUILDS if build.target == self.target)
        libraries = [] if self.system == "windows" else ["-lm", "-lpthread"]
        return [*self.compiler(plainest), "-shared", "-s", str(compiled), *libraries, "-o", str(output)]


BUILDS = (
    Build("linux", "x86_64", "", "x86_64-linux-gnu.2.17", "x86_64_v2"),
    Build("linux", "x86_64", "avx2", "x86_64-linux-gnu.2.17", "x86_64_v3"),
    Build("linux", "x86_64", "avx512", "x86_64-linux-gnu.2.17", "x86_64_v4"),
    Build("linux", "arm64", "", "aarch64-linux-gnu.2.17", "generic"),
    Build("windows", "x86_64", "", "x86_64-windows-gnu", "x86_64_v2"),
    Build("windows", "x86_64", "avx2", "x86_64-windows-gnu", "x86_64_v3"),
    Build("windows", "x86_64", "avx512", "x86_64-windows-gnu", "x86_64_v4"),
    Build("windows", "arm64", "", "aarch64-windows-gnu", "generic"),
    Build("macos", "x86_64", "", "x86_64-macos.11.0", "x86_64_v2"),
    Build("macos", "x86_64", "avx2", "x86_64-macos.11.0", "x86_64_v3"),
    Build("macos", "arm64", "", "aarch64-macos.11.0", "apple_m1"),
)


def is_current(build: Build) -> bool:
    """Whether the library is newer than every source."""
    sources = [*HERE.glob("*.c"), *HERE.glob("*.h"), HERE / "build.py"]
    return build.output.exists() and build.output.stat().st_mtime >= max(source.stat().st_mtime for source in sources)


def compile_kernels(build: Build) -> Build:
    """Compile one library under a temporary name and rename it; returns `build`. CalledProcessError when the compiler refuses."""
    FOLDER.mkdir(exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    temporary = build.output.with_suffix(".building")
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(CACHE), "ZIG_LOCAL_CACHE_DIR": str(CACHE)}
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "splat.o"
        for command in (build.compile_command(compiled), build.link_command(compiled, temporary)):
            subprocess.run(command, check=True, env=environment)
    rename(temporary, build.output)
    for leftover in [*FOLDER.glob("*.lib"), *FOLDER.glob("*.pdb")]:  # what zig adds to a Windows library
        remove_file(leftover)
    return build


def main(arguments: list[str]) -> int:
    """Build what is out of date."""
    wanted = BUILDS if "--all" in arguments else [build for build in BUILDS if build.output.name in host_builds()]
    outdated = [build for build in wanted if not is_current(build)]
    with ThreadPoolExecutor(max(1, len(outdated))) as compilers:  # all at once: most wait for a C library that zig builds for one of them
        for build in compilers.map(compile_kernels, outdated):
            print(f"compiled {build.output.name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
