"""A Python for Windows that runs under Wine, made of packages alone.

The library of Python and its compiled modules are the original ones, from panda3d's wheel, which carries them to freeze games. The other
half of the standard library is source that is the same everywhere: that of the Python that runs this. Packages are wheels for Windows.
Programs there see two drives: W: with the copy of the checkout, P: with Python; nothing of this computer's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.versions import requirement

HERE = Path(__file__).resolve().parent
MINOR = (3, 11)
LIBRARY = "python311"
ORIGINALS = "panda3d==1.10.16"
NUMPY = "numpy==1.26.4"
"""What Blender 4.5 brings; the C library of Wine 8 lacks what later ones need."""

PACKAGES = ("plyfile", "zstandard", "Pillow", "tyro", "rich", "pytest", "pytest-timeout", "hypothesis", "psutil", "fastapi", "uvicorn",
            "av", "pillow-heif", "scipy")
ON_WINDOWS_ONLY = ("colorama", "tzdata", "click>=8", "h11>=0.14")
"""What others need there, whose markers pip takes for this computer's."""

FOREIGN = ("api-ms-", "tcl", "tk", "_tkinter", "_wmi")
"""What Wine has itself, or what ends its processes."""

UNSEEN = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "DISPLAY", "SHELL", "LD_LIBRARY_PATH", "PYTHONIOENCODING", "PYTHONUTF8")
"""Variables of this computer that would mislead programs there."""

LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.so", "site-packages", "dist-packages", "test", "config-*", "lib-dynload", "idlelib",
                                  "_sysconfigdata*", "tkinter", "turtledemo", "lib2to3", "EXTERNALLY-MANAGED", "sitecustomize.py")
LAST_WORDS_SECONDS = 3.0
"""After a program's end: Wine's own helpers keep its pipe open."""


class Unavailable(Exception):
    """Why nothing can be run under Wine here, in one sentence."""


class WindowsPython:
    """Python for Windows below `root`; set_up() makes it, once."""

    def __init__(self, root: Path):
        self.root, self.home, self.work, self.prefix = root, root / "python", root / "work", root / "prefix"
        self.packages = self.home / "Lib" / "site-packages"
        self.wine = wine()

    def set_up(self) -> None:
        """Make what is not there yet. Unavailable when a package cannot be had, or Wine does not run it."""
        if sys.version_info[:2] != MINOR or not sys.platform.startswith("linux"):
            raise Unavailable(f"The set-up is for Python {MINOR[0]}.{MINOR[1]} on Linux.")
        self.work.mkdir(parents=True, exist_ok=True)
        try:
            self._originals()
            self._standard_library()
            for output in ("python.exe", "taskkill.exe", "bcryptprimitives.dll"):
                self._compile(HERE / f"{Path(output).stem}.c", self.home / output)
            self._forwarder()
            self.install(self.packages, NUMPY, *map(requirement, PACKAGES), *ON_WINDOWS_ONLY)
            self._prefix()
            self.quietly("-c", "import ctypes, numpy, psutil")
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"The Windows Python could not be set up: {_reason(error)}") from error

    def install(self, target: Path, *requirements: str, alone: bool = False) -> None:
        """Unpack wheels for Windows into a folder, with or without what they need; nothing when that was done. CalledProcessError."""
        stamp = target / ".installed"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == repr(requirements):
            return
        self._pip("install", "--upgrade", "--target", target, *(["--no-deps"] if alone else []), *requirements)
        stamp.write_text(repr(requirements), encoding="utf-8")

    def run(self, *words: str, folder: Path | None = None, variables: Mapping[str, str] = {}, seconds: float = 3600) -> int:
        """Run Python in a folder below `work`, its output printed here; its exit status. TimeoutExpired."""
        process = subprocess.Popen(self._command(words), cwd=folder or self.work, env=self.environment(variables), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        reader = threading.Thread(target=_print, args=(process,), daemon=True)
        reader.start()
        try:
            return process.wait(seconds)
        finally:
            process.kill()
            reader.join(LAST_WORDS_SECONDS)

    def quietly(self, *words: str) -> None:
        """Run Python; CalledProcessError when it fails."""
        subprocess.run(self._command(words), cwd=self.work, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True, timeout=120)

    def close(self) -> None:
        """End what Wine still runs for this Python."""
        subprocess.run([self.wine, "wineboot", "-k"], env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)

    def environment(self, variables: Mapping[str, str] = {}) -> dict[str, str]:
        """The variables of programs there."""
        ours = {name: value for name, value in os.environ.items() if name not in UNSEEN and not name.startswith("OPENBLAS")}
        return {**ours, "WINEPREFIX": str(self.prefix), "WINEDEBUG": "-all", "WINEARCH": "win64", "LC_ALL": "C.UTF-8",
                "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe,winedbg.exe=d", **variables}

    def _command(self, words: Sequence[str]) -> list[str]:
        return [self.wine, r"P:\python\python.exe", *words]

    def _originals(self) -> None:
        if (self.home / f"{LIBRARY}.dll").exists():
            return
        wheels = self.root / "wheels"
        self._pip("download", "--no-deps", "--dest", wheels, ORIGINALS)
        (self.home / "DLLs").mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(next(wheels.glob("panda3d-*.whl"))) as wheel:
            for name in wheel.namelist():
                leaf = name.removeprefix("deploy_libs/")
                if leaf and leaf != name and not leaf.startswith(FOREIGN) and leaf.lower().endswith((".dll", ".pyd")):
                    beside = leaf.lower().startswith(("python", "vcruntime"))
                    (self.home / leaf if beside else self.home / "DLLs" / leaf).write_bytes(wheel.read(name))
        shutil.rmtree(wheels)

    def _standard_library(self) -> None:
        if not (self.home / "Lib" / "os.py").exists():
            shutil.copytree(sysconfig.get_paths()["stdlib"], self.home / "Lib", ignore=LEFT_OUT, dirs_exist_ok=True)
        self.packages.mkdir(exist_ok=True)

    def _forwarder(self) -> None:
        """python3.dll, which modules for every version ask for: each name is found in the library of this one."""
        if not (self.home / "python3.dll").exists():
            names = exported_names((self.home / f"{LIBRARY}.dll").read_bytes())
            exports = self.root / "python3.def"
            exports.write_text("EXPORTS\n" + "".join(f"{name} = {LIBRARY}.{name}\n" for name in names), encoding="ascii")
            self._compile(HERE / "python3.c", self.home / "python3.dll", exports)

    def _compile(self, source: Path, output: Path, *more: Path) -> None:
        if output.exists() and output.stat().st_mtime > source.stat().st_mtime:
            return
        kind = ["-shared", *more, "-ladvapi32"] if output.suffix == ".dll" else ["-Wl,--stack,2000000", "-lkernel32", "-lshell32"]
        cache = {name: str(self.root / "zig") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
        flags = ["-O1", "-s", "-nostdlib", "-fshort-wchar", "-fno-stack-protector", "-fno-sanitize=all", "-fno-builtin", "-Wl,-e,start"]
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-windows-gnu"]
        subprocess.run([*compiler, *flags, f'-DLIBRARY=L"{LIBRARY}.dll"', source, "-o", output, *kind],
                       check=True, env={**os.environ, **cache}, capture_output=True, text=True)
        for left in (*self.home.glob("*.pdb"), *self.home.glob("*.lib")):
            left.unlink()

    def _prefix(self) -> None:
        if not (self.prefix / "system.reg").exists():
            subprocess.run([self.wine, "wineboot", "-i"], env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True, timeout=180)
        drives = self.prefix / "dosdevices"
        for letter, folder in (("w:", self.work), ("p:", self.root)):
            (drives / letter).unlink(missing_ok=True)
            (drives / letter).symlink_to(folder, target_is_directory=True)
        (drives / "z:").unlink(missing_ok=True)  # this computer's root, where a program would find /proc and /tmp

    def _pip(self, verb: str, *words: str | Path) -> None:
        subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", verb, "--platform", "win_amd64",
                        "--python-version", "3.11", "--implementation", "cp", "--only-binary=:all:", *map(str, words)],
                       check=True, capture_output=True, text=True)


def wine() -> str:
    """The loader of 64-bit programs; Unavailable where Wine is not installed."""
    for name in ("wine64", "/usr/lib/wine/wine64", "wine"):
        found = shutil.which(name)
        if found:
            return found
    raise Unavailable("Wine is not installed (on Debian: apt-get install wine64).")


def exported_names(library: bytes) -> list[str]:
    """Names that a library of Windows for x86-64 offers (PE format)."""
    def number(place: int) -> int:
        return int.from_bytes(library[place : place + 4], "little")

    header = number(0x3C)
    first, count = header + 24 + (number(header + 20) & 0xFFFF), number(header + 6) & 0xFFFF
    sections = [(number(place + 12), number(place + 8), number(place + 20)) for place in range(first, first + 40 * count, 40)]

    def place_of(address: int) -> int:
        return next(address - begin + there for begin, size, there in sections if begin <= address < begin + size)

    exports = place_of(number(header + 24 + 112))
    names = place_of(number(exports + 32))
    places = [place_of(number(names + 4 * index)) for index in range(number(exports + 24))]
    return [library[place : library.index(b"\0", place)].decode("ascii") for place in places]


def _print(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line.decode("utf-8", "replace").rstrip("\r\n"), flush=True)


def _reason(error: OSError | subprocess.SubprocessError) -> str:
    said = str(getattr(error, "stderr", None) or error).strip().splitlines()
    return said[-1][:300] if said else type(error).__name__
