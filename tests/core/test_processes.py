"""Starting and ending programs, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.processes import (
    DISCARD,
    PIPE,
    Process,
    clean_environment,
    end_tree,
    ended_after,
    process_exists,
    process_start,
    run,
    spawn,
)

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and groups of POSIX")
on_windows = pytest.mark.skipif(os.name != "nt", reason="what Windows alone has")
SLEEP = "import time; time.sleep(600)"
WITH_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLEEP!r}])
print(child.pid, flush=True)
child.wait()
"""
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
POLITE = f"""
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("goodbye", flush=True), sys.exit(0)))
print("here", flush=True)
{SLEEP}
"""
TIED = f"from engine.core.processes import end_with_parent; end_with_parent(); print('tied', flush=True); {SLEEP}"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def line_of(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_group_ends_with_what_its_programs_started() -> None:
    process = spawn(python(WITH_CHILD), output=PIPE)
    grandchild = int(line_of(process))
    assert process_exists(grandchild)
    end_tree(process)
    assert process.poll() is not None
    assert process.stdout is not None and process.stdout.read() == ""  # the grandchild held the pipe, too


def test_a_group_ends_by_its_number_alone() -> None:
    process = spawn(python(WITH_CHILD), output=PIPE)
    line_of(process)
    end_tree(process.pid)
    assert process.stdout is not None and process.stdout.read() == ""
    assert process.wait() != 0


@posix
def test_a_polite_end() -> None:
    process = spawn(python(POLITE), output=PIPE)
    assert line_of(process) == "here"
    end_tree(process, patience=60)
    assert process.returncode == 0 and line_of(process) == "goodbye"


@posix
def test_patience_has_an_end() -> None:
    process = spawn(python(STUBBORN), output=PIPE)
    assert line_of(process) == "deaf"
    end_tree(process, patience=0.2)
    assert process.returncode == -signal.SIGKILL


@posix
def test_children_that_outlive_a_polite_end_are_killed() -> None:
    """The leader ends when it is asked, what it started does not."""
    code = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n{SLEEP}"
    process = spawn(python(code), output=PIPE)
    assert line_of(process) == "deaf"
    end_tree(process, patience=60)
    assert process.returncode == -signal.SIGTERM
    assert process.stdout is not None and process.stdout.read() == ""


def test_what_has_ended_may_be_ended_again() -> None:
    process = spawn(python("pass"))
    process.wait()
    end_tree(process)
    end_tree(process.pid)
    assert process.returncode == 0 and not process_exists(process.pid)


@posix
def test_a_program_in_our_group_is_ended_alone() -> None:
    """Our own group, which is the test's, lives on."""
    process = spawn(python(SLEEP), own_group=False)
    assert os.getpgid(process.pid) == os.getpgid(0)
    end_tree(process)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="root alone can become somebody else")
def test_a_program_of_somebody_else_is_left_alone() -> None:
    code = "import os; from engine.core.processes import end_tree; os.setuid(65534); end_tree(os.getppid()); print('alive')"
    done = run(python(code), environment={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout == "alive\n", done.stderr


@posix
def test_a_group_that_may_not_be_signalled_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS refuses where only ended processes are left in the group."""
    def refused(group: int, number: int) -> None:
        raise PermissionError

    process = spawn(python("pass"))
    process.wait()
    monkeypatch.setattr(os, "killpg", refused)
    end_tree(process, patience=1)
    assert process.returncode == 0


def test_a_block_ends_its_process() -> None:
    with pytest.raises(KeyboardInterrupt), ended_after(spawn(python(SLEEP), output=PIPE)) as process:
        raise KeyboardInterrupt
    assert process.poll() is not None and process.stdout is not None and process.stdout.closed


def test_a_tied_program_ends_with_whoever_started_it() -> None:
    """The parent is killed, and can tell nobody."""
    code = f"from engine.core.processes import *; p = spawn({python(TIED)!r}, output=PIPE, tied=True); print(p.stdout.readline(), p.pid, " \
           f"flush=True); {SLEEP}"
    parent = spawn(python(code), output=PIPE, environment={**os.environ, "PYTHONPATH": str(ROOT)})
    assert line_of(parent) == "tied"
    child = int(line_of(parent))
    assert process_exists(child)
    parent.kill()  # the parent alone
    parent.wait()
    assert parent.stdout is not None and parent.stdout.read() == ""
    wait(lambda: not runs(child))


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for somebody to take note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return process_exists(pid)


def test_without_a_pipe_nobody_ends_with_the_parent() -> None:
    code = "from engine.core.processes import end_with_parent; import time; end_with_parent(); time.sleep(0.5); print('alive')"
    assert run(python(code), environment={**os.environ, "PYTHONPATH": str(ROOT)}).stdout == "alive\n"


def test_a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "stranger.py").write_text("")
    strange = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere", "PYTHONUSERBASE": "/nowhere", "CONDA_PREFIX": "/conda"}
    for name, value in strange.items():
        monkeypatch.setenv(name, value)
    code = "import os, site, importlib.util as u; print(u.find_spec('stranger'), site.ENABLE_USER_SITE, os.environ.get('CONDA_PREFIX'), " \
           "os.environ['MINE'])"
    assert run(python(code), environment=clean_environment({"MINE": "yes"})).stdout.split() == ["None", "False", "/conda", "yes"]
    assert "CONDA_PREFIX" not in clean_environment({}, ["CONDA_PREFIX"])
    assert clean_environment({"PYTHONPATH": "/ours"})["PYTHONPATH"] == "/ours"


def test_output_is_utf8(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.buffer.write('größe 写真\\n'.encode()); sys.stderr.buffer.write(b'broken \\xff\\n'); sys.exit(3)"
    done = run(python(code), folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "größe 写真\n", "broken \ufffd\n")
    said = run(python("import os; print('写真', os.getcwd())"), folder=tmp_path, environment=clean_environment({"LC_ALL": "C"})).stdout
    assert said.startswith("写真") and Path(said.split()[1]).samefile(tmp_path)


def test_output_in_a_file_is_added_to_it(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    for word in ("first", "second"):
        assert spawn(python(f"import sys; print('{word}', flush=True); print('error', file=sys.stderr)"), output=log).wait() == 0
    assert log.read_text().split() == ["first", "error", "second", "error"]


def test_errors_go_where_the_output_goes_unless_they_have_a_place_of_their_own(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    with ended_after(spawn(python(code), output=PIPE)) as together:
        assert together.stdout is not None and together.stdout.read().split() == ["out", "err"]
    with ended_after(spawn(python(code), output=PIPE, errors=tmp_path / "log")) as apart:
        assert apart.stdout is not None and apart.stdout.read().split() == ["out"] and apart.wait() == 0
    assert (tmp_path / "log").read_text() == "err\n"
    with ended_after(spawn(python(code), output=PIPE, errors=DISCARD)) as without:
        assert without.stdout is not None and without.stdout.read().split() == ["out"]


def test_a_program_that_is_not_there_is_named() -> None:
    for start in (spawn, run):
        with pytest.raises(UserError, match=r"/no/such/program could not be started: (No such f|F)ile .*\."):
            start(["/no/such/program", "--help"])
    with pytest.raises(UserError, match="The engine could not be started") as raised:
        spawn(["/no/such/program"], what="The engine")
    assert "/no/such/program" in raised.value.hint


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        spawn(python("pass"), output=tmp_path / "missing" / "engine.log")


def test_a_program_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = WITH_CHILD.replace("print(child.pid, flush=True)", f"open({str(note)!r}, 'w').write(str(child.pid))")
    with pytest.raises(UserError, match=r"did not end within 2 seconds"):
        run(python(code), seconds=2)
    assert note.exists(), "the program had no time to start its child"
    wait(lambda: not runs(int(note.read_text())))


@posix
def test_lower_priority() -> None:
    code = "import os; from engine.core.processes import lower_priority; before = os.nice(0); lower_priority(); print(os.nice(0) - before)"
    assert int(run(python(code), environment={**os.environ, "PYTHONPATH": str(ROOT)}).stdout) == min(5, 19 - os.nice(0))


@on_windows
def test_lower_priority_on_windows() -> None:
    code = """
import ctypes
from engine.core.processes import lower_priority
lower_priority()
kernel = ctypes.windll.kernel32
kernel.GetCurrentProcess.restype = ctypes.c_void_p
print(kernel.GetPriorityClass(ctypes.c_void_p(kernel.GetCurrentProcess())))
"""
    assert int(run(python(code), environment={**os.environ, "PYTHONPATH": str(ROOT)}).stdout) == 0x4000  # BELOW_NORMAL_PRIORITY_CLASS


@on_windows
def test_no_program_opens_a_console() -> None:
    code = "import ctypes; print(ctypes.windll.kernel32.GetConsoleWindow())"
    assert run(python(code)).stdout.strip() == "0"


def test_when_a_process_began() -> None:
    process = spawn(python(SLEEP))
    try:
        start = process_start(process.pid)
        assert start is None if sys.platform.startswith("linux") else abs(start - time.time()) < 60
    finally:
        end_tree(process)
    assert process_start(process.pid) is None


def test_a_program_leaves_the_job_of_a_terminal_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Windows' Python would be given: first the flag that leaves the job, then, where that is refused, none."""
    from engine.core import processes

    given: list[int] = []

    def start(creationflags: int) -> str:
        given.append(creationflags)
        if creationflags & 0x01000000:
            raise PermissionError(13, "Access is denied")
        return "started"

    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0x01000000, raising=False)
    assert processes._started(start, {"creationflags": 0x200}, outlives=True) == "started"  # type: ignore[arg-type]
    assert processes._started(start, {"creationflags": 0x200}, outlives=False) == "started"  # type: ignore[arg-type]
    assert given == [0x01000200, 0x200, 0x200]


@posix
def test_descriptors_that_stay_open() -> None:
    reading, writing = os.pipe()
    try:
        assert spawn(python(f"import os; os.write({writing}, b'heard')"), keep_open=(writing,)).wait() == 0
        assert os.read(reading, 10) == b"heard"
        assert spawn(python(f"import os; os.write({writing}, b'heard')")).wait() != 0
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system's signal for it is Linux's")
def test_a_program_that_is_killed_with_us() -> None:
    code = f"from engine.core.processes import spawn; p = spawn({python(SLEEP)!r}, killed_with_us=True); print(p.pid, flush=True); {SLEEP}"
    parent = spawn(python(code), output=PIPE, environment={**os.environ, "PYTHONPATH": str(ROOT)})
    child = int(line_of(parent))
    assert runs(child)
    parent.kill()
    parent.wait()
    wait(lambda: not runs(child))


def test_windows_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    """No console, and a group of its own where asked; what Windows' Python would be given."""
    from engine.core import processes

    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    assert processes._system_arguments(True, ()) == {"creationflags": 0x08000200}
    assert processes._system_arguments(False, (1,)) == {"creationflags": 0x08000000}
