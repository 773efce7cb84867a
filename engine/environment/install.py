"""Building the full engine's environment: mark it, fetch uv, fetch the packages, add the engine itself, check it, take it into use.

Every step can be interrupted; the next installation goes on where it stopped. What worked before stays in use until the new
environment has passed its self-check.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.files import disk_error, make_folder, remove_file
from ..core.parsing import parse_object
from ..core.protocol.progress import OnProgress, Step
from .backends import LOCKS, Backend
from .commands import run_logged
from .folder import EngineFolder, Environment
from .graphics import find_graphics
from .own_wheel import write_wheel
from .plan import MANAGED_PYTHON, needs_own_python, prebuilt, unsuited

CHECK = "doctor"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class InstallRequest:
    """What to install, where, and out of what."""

    root: Path
    backend: Backend
    python: Path = Path(sys.executable)  # the environment is built on it
    wheels: Path | None = None  # install from this folder alone, without any network

    @property
    def offline(self) -> bool:
        """Whether nothing may be fetched."""
        return self.wheels is not None


def install(request: InstallRequest, on_progress: OnProgress) -> Environment:
    """Install, go on with an interrupted installation, or upgrade; the environment that is in use then.

    UserError with the fix when it cannot be done; an environment that was in use before stays so.
    """
    folder = EngineFolder(request.root)
    with folder.locked() as lock:
        found = folder.wanted(request.backend)
        if not (found.complete and found.python.exists()):
            Building(request, folder, found, on_progress, lock).build()
        folder.use(found)
    on_progress(Step("Ready", 1, 1))
    return found


@dataclass(frozen=True)
class Building:
    """One installation under way. `lock` stays open in every process that it starts."""

    request: InstallRequest
    folder: EngineFolder
    target: Environment
    on_progress: OnProgress
    lock: int

    def build(self) -> None:
        """All steps."""
        self._check_graphics()
        self._check_room()
        self.target.begin()
        remove_file(self.folder.log)
        uv = self._uv()
        self._make_environment(uv)
        self._fetch_packages(uv)
        self._add_engine(uv)
        self._self_check()
        self.target.mark_ready()

    def _check_graphics(self) -> None:
        """UserError when the packages could not be used, before gigabytes are fetched."""
        trouble = unsuited(self.request.backend, find_graphics()) if self.request.backend.cuda else None
        if trouble:
            raise trouble

    def _check_room(self) -> None:
        """UserError when the disk is too full, before time is spent."""
        try:
            make_folder(self.folder.root)
            free = shutil.disk_usage(self.folder.root).free
        except OSError as error:
            raise disk_error(self.folder.root, error) from error
        needed = self.request.backend.disk - folder_size(self.folder.root)
        if free < needed:
            raise UserError(f"The full engine needs {_gigabytes(needed)}, and the disk of {self.folder.root} has {_gigabytes(free)} left.",
                            "Free some space, or choose a folder on another disk.", "install.space", needed=_gigabytes(needed),
                            root=self.folder.root, free=_gigabytes(free))

    def _uv(self) -> Path:
        """uv from PATH, from an earlier installation, or from its wheel."""
        self.on_progress(Step("Fetching the installer"))
        found = shutil.which("uv")
        if found:
            return Path(found)
        home = self.folder.root / "uv"
        own = home / ("Scripts/uv.exe" if sys.platform == "win32" else "bin/uv")
        if not own.exists():
            python = Environment(home).python
            self._run([str(self.request.python), "-m", "venv", "--clear", str(home)], "Preparing the installer")
            self._run([str(python), "-m", "pip", "install", "--disable-pip-version-check", "--retries", "1", "--require-hashes",
                       "--only-binary", ":all:", *self._pip_source(), "-r", str(LOCKS / "uv.txt")], "Fetching the installer (uv)")
        return own

    def _pip_source(self) -> list[str]:
        return ["--no-index", "--find-links", str(self.request.wheels)] if self.request.offline else []

    def _make_environment(self, uv: Path) -> None:
        self.on_progress(Step("Making the environment"))
        own = needs_own_python(self.request.backend) and not prebuilt(self.request.backend, self._wheel_names())
        if own and self.request.offline:
            raise UserError("Blender's Python cannot compile gsplat's kernels, and without a network no other can be fetched.",
                            f"Put a compiled gsplat for {self.request.backend.name} into the folder of wheels, or install from the index.",
                            "install.no_compiler", backend=self.request.backend.name)
        python = ["--managed-python", "--python", MANAGED_PYTHON] if own else ["--python", str(self.request.python)]
        self._run([str(uv), "venv", "--allow-existing", *python, str(self.target.path), *self._offline()], "Making the environment")

    def _fetch_packages(self, uv: Path) -> None:
        """Everything that the lock names, checked against its checksums."""
        backend, lock = self.request.backend, self.target.path / "requirements.txt"
        lock.write_text(self._requirements(), encoding="utf-8", newline="\n")
        own_index = ["--torch-backend", backend.name] if backend.cuda and sys.platform == "win32" and not self.request.offline else []
        began = folder_size(self.folder.root)

        def watch() -> None:
            size = (folder_size(self.folder.root) - began) // MEGABYTE
            self.on_progress(Step("Fetching packages (MB)", min(size, backend.disk // MEGABYTE), backend.disk // MEGABYTE))

        self._run([str(uv), "pip", "sync", "--python", str(self.target.python), "--only-binary", ":all:", *own_index, *self._offline(),
                   str(lock)], "Fetching the packages", watch)

    def _requirements(self) -> str:
        """The lock, with a compiled gsplat in the place of its sources where the folder of wheels has one."""
        text = self.request.backend.requirements(sys.platform)
        version = prebuilt(self.request.backend, self._wheel_names())
        if version is None:
            return text
        head, _, rest = text.partition("\ngsplat==")
        lines = rest.splitlines(keepends=True)
        after = next((number for number, line in enumerate(lines) if number and not line.startswith(" ")), len(lines))
        return f"{head}\ngsplat=={version}\n{''.join(lines[after:])}"

    def _add_engine(self, uv: Path) -> None:
        self.on_progress(Step("Adding the engine"))
        wheel = write_wheel(self.target.path)
        self._run([str(uv), "pip", "install", "--python", str(self.target.python), "--no-deps", "--offline", "--no-cache", str(wheel)],
                  "Adding the engine")

    def _self_check(self) -> None:
        """UserError with the first thing that does not work."""
        self.on_progress(Step("Checking; compiling the kernels takes 5 to 20 minutes" if self.request.backend.cuda else "Checking"))
        command = [str(self.target.python), "-m", f"splatwright.{CHECK}", "--json", *(["--graphics"] if self.request.backend.cuda else [])]
        said = self._run(command, "The self-check")
        try:
            rows = parse_object(said.strip().splitlines()[-1])["rows"]
            broken = [row for row in rows if row["state"] == "broken"]
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise UserError("The self-check gave no answer.", f"Everything it said is in {self.folder.log}.",
                            "install.no_answer", log=self.folder.log) from error
        if broken:
            kept = " What was installed before stays in use." if self.folder.current() else ""
            raise UserError(f"The new engine did not pass its self-check: {broken[0]['sentence']}{kept}", broken[0]["fix"],
                            "install.self_check", sentence=broken[0]["sentence"], kept=kept)

    def _offline(self) -> list[str]:
        return ["--offline", "--no-index", "--find-links", str(self.request.wheels)] if self.request.offline else []

    def _wheel_names(self) -> tuple[str, ...]:
        return tuple(path.name for path in self.request.wheels.glob("*.whl")) if self.request.wheels else ()

    def _run(self, command: list[str], what: str, watch: Callable[[], None] = lambda: None) -> str:
        extra = {"UV_CACHE_DIR": str(self.folder.cache), "UV_PYTHON_INSTALL_DIR": str(self.folder.root / "python"),
                 "UV_NO_PROGRESS": "1", "UV_LINK_MODE": "hardlink"}
        return run_logged(command, self.folder.log, what, extra, watch, (self.lock,))


def folder_size(folder: Path) -> int:
    """Bytes on the disk; files that are shared count once."""
    seen: set[int] = set()
    total, waiting = 0, [folder]
    while waiting:
        try:
            entries = list(waiting.pop().iterdir())
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.lstat()
            except OSError:
                continue
            if status.st_mode & 0o170000 == 0o040000:
                waiting.append(entry)
            elif status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_size
    return total


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
