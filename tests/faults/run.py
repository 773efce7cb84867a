"""Random kills and faults over server, workers, clients, connections, disks and job folders, with real processes on the processor.

`python -m tests.faults.run --faults 100 --seed 7`. At the end every training must have its result, every file that was sent be as it
was, no training be repeated by more than ten seconds, nothing run any more, and the port be free. The seed is printed: the same seed
gives the same faults as far as the same trainings are there to be struck.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.faults.desk import Command, Desk, end, processes_of, small_disk
from tests.faults.faults import Fault, break_something, words
from tests.faults.findings import Doubles, Ends, left_workers, losses, remains
from tests.scenes import write_ball_dataset
from tests.server.proxy import CuttingProxy
from tests.server.serving import Server

PATIENCE = 180.0
CUT_AFTER = 400_000
"""Bytes after which a connection breaks by itself, about."""


def main() -> int:
    """Break things, wait for the end, count what was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    begin = time.monotonic()
    ends, problems, told = strike(asked.seed, asked.faults)
    print("\n".join([*ends.lines(), told, f"{time.monotonic() - begin:.0f} s"]))
    for problem in problems:
        print("PROBLEM:", problem)
    print("nothing was lost" if not problems else f"{len(problems)} problems; repeat with --seed {asked.seed}")
    return 1 if problems else 0


def strike(seed: int, faults: int | Sequence[Fault]) -> tuple[Ends, list[str], str]:
    """So many faults by chance, or these; how they ended, what was lost, and a sentence about the rest."""
    with desk_of(seed) as (desk, dataset):
        doubles, ends = Doubles(), Ends()
        go_through(desk, faults, doubles, ends)
        problems = left_workers(desk)
        desk.server.close()
        problems += [*doubles.found, *losses(desk, dataset), *remains(desk)]
        if problems:
            problems += [f"the server said: {line}" for line in desk.server.lines if "Error" in line or "stumbled" in line]
        told = (f"{sum(command.done for command in desk.commands)} trainings got to their end, commands were begun again "
                f"{sum(command.restarts for command in desk.commands)} times, {desk.proxy.cuts} more connections broke"
                + ("" if desk.fillable else "; no small disk could be mounted to be filled"))
    return ends, problems, told


@contextmanager
def desk_of(seed: int) -> Iterator[tuple[Desk, Path]]:
    """A server, a connection that breaks now and then, three commands, and the dataset; nothing is left of them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splatwright-faults-")))
        fillable = stack.enter_context(small_disk(folder))
        stack.callback(lambda: [end(pid) for pid in processes_of(folder)])
        dataset = write_ball_dataset(folder / "dataset").folder
        server = Server(folder / "serve", "--gpus", "cpu", "--keep-free-gigabytes", "0")
        stack.callback(server.close)
        proxy = CuttingProxy(server.port, CUT_AFTER, seed)
        stack.callback(proxy.close)
        url = f"http://127.0.0.1:{proxy.port}"
        commands = [Command(made(folder / where), dataset, engine) for where, engine in (("far", url), ("second", url), ("near", ""))]
        yield Desk(folder, server, proxy, commands, random.Random(seed), fillable), dataset


def go_through(desk: Desk, faults: int | Sequence[Fault], doubles: Doubles, ends: Ends) -> None:
    """The faults, then peace until all is done."""
    total = faults if isinstance(faults, int) else len(faults)
    for number in range(total):
        before = count(desk)
        fault = break_something(desk) if isinstance(faults, int) else words(faults[number]) if faults[number](desk) else "nothing"
        rest(desk, desk.random.uniform(0.3, 1.2), doubles)
        ends.note(fault, before, count(desk))
        if number % 10 == 9:
            print(f"{number + 1} of {total} faults, {sum(command.done for command in desk.commands)} trainings done", flush=True)
    finish(desk, doubles)


def finish(desk: Desk, doubles: Doubles) -> None:
    """Wait until all that was begun is done."""
    until = time.monotonic() + PATIENCE
    while any([command.look(more=False) for command in desk.commands]) and time.monotonic() < until:
        doubles.look(desk)
        time.sleep(0.1)
    for command in desk.commands:
        if command.running:
            doubles.found.add(f"{command.output} does not come to its end")


def rest(desk: Desk, seconds: float, doubles: Doubles) -> None:
    """So long nothing breaks; what was ended begins again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for command in desk.commands:
            command.look(more=True)
        doubles.look(desk)
        time.sleep(0.1)


def count(desk: Desk) -> tuple[int, int, int]:
    """Starts of workers, how many of them went on with a training, and commands that were begun again."""
    return *desk.begun(), sum(command.restarts for command in desk.commands)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
