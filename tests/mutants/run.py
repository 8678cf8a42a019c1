"""`make mutants ROOM=catalogs N=20`: draw random one-line changes of a room, and say which its own tests don't notice.

    python -m tests.mutants.run catalogs/manifests --number 20 --seed 1

A change is tried in a copy of the checkout (build/mutants): first against the room's test modules that import what was
changed, then against all tests of the room. A run that fails or never ends has noticed it. Changes that change nothing
that anybody could see are listed in equivalent.txt beside this file, and aren't drawn.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.changes import Change, changes

ROOT = Path(__file__).parents[2]
COPY = ROOT / "build/mutants"
EQUIVALENT = Path(__file__).parent / "equivalent.txt"
GOAL, GOAL_OF_PIPELINE = 0.95, 0.90
"""Shares of changes that tests notice."""
PATIENCE, LEAST = 4, 60.0
"""A run that takes so many times as long as without a change, and at least so many seconds, doesn't end."""


@dataclass(frozen=True)
class Mutant:
    """A change of one module; ``module`` is its path in the checkout."""

    module: Path
    change: Change

    def __str__(self) -> str:
        return f"{self.module}:{self.change.line}: {self.change.before} -> {self.change.after}"

    @property
    def name(self) -> str:
        """What equivalent.txt calls it: without the line's number, which moves."""
        return f"{self.module}: {self.change.before} -> {self.change.after}"


def drawn(room: str, number: int, seed: int) -> list[Mutant]:
    """Return random changes of a room's modules; each module is drawn as often as it has places to change."""
    modules = [path.relative_to(ROOT) for path in sorted((ROOT / room).rglob("*.py"))]
    every = [Mutant(module, change) for module in modules for change in changes((ROOT / module).read_text())]
    listed = set(EQUIVALENT.read_text().splitlines())
    real = [mutant for mutant in every if mutant.name not in listed]
    return random.Random(seed).sample(real, min(number, len(real)))


def copy_checkout() -> None:
    """Copy what git knows, and the folders once more below ``fairshards``, as they are imported."""
    shutil.rmtree(COPY, ignore_errors=True)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    for folder in ("pipeline", "transforms", "generators", "filters", "catalogs", "trainers", "pocket", "recipes"):
        (COPY / "fairshards" / folder).symlink_to(COPY / folder)


def tests_pass(tests: Sequence[str], limit: float | None = None) -> bool:
    """Run tests in the copy until the first failure; False also where they take longer than ``limit`` seconds."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    try:
        ended = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode in (0, 5)  # 5: no test was collected


def stages(room: str, module: Path) -> Iterator[list[str]]:
    """Yield the tests of a module, then all tests of its room."""
    imported = ".".join(("fairshards", *module.with_suffix("").parts))
    package, _, name = imported.rpartition(".")
    near = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests" / room).rglob("test_*.py"))
        if imported in (text := path.read_text()) or f"from {package} import {name}" in text
    ]
    if near:
        yield near
    yield [f"tests/{room}"]


def noticed(room: str, mutant: Mutant, limit: float) -> bool:
    """Tell whether a test of the room fails once the change is made."""
    target = COPY / mutant.module
    target.write_text(mutant.change.code)
    try:
        return not all(tests_pass(tests, limit) for tests in stages(room, mutant.module))
    finally:
        shutil.copy2(ROOT / mutant.module, target)


def main() -> None:
    """Draw, try, and end with 1 where fewer are noticed than the goal says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room")
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    copy_checkout()
    begun = time.monotonic()
    if not tests_pass([f"tests/{asked.room}"]):
        sys.exit(f"the tests of {asked.room} fail without a change")
    limit = max(LEAST, PATIENCE * (time.monotonic() - begun))
    mutants, missed = drawn(asked.room, asked.number, asked.seed), 0
    for mutant in mutants:
        found = noticed(asked.room, mutant, limit)
        missed += not found
        print("noticed" if found else "MISSED ", mutant, flush=True)
    share = 1 - missed / len(mutants)
    goal = GOAL_OF_PIPELINE if asked.room.startswith("pipeline") else GOAL
    print(f"{len(mutants) - missed} of {len(mutants)} noticed ({share:.0%}; goal {goal:.0%})")
    sys.exit(share < goal)


if __name__ == "__main__":
    main()
