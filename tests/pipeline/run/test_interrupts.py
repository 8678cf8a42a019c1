"""Ctrl-C and SIGTERM: the exit code and the sentence wherever they strike, and no process left behind.

That such a run goes on is in test_resume.py, which kills it at every stage.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from fairshards.pipeline.cli.messages import expected_errors
from fairshards.pipeline.run import interrupts
from fairshards.pipeline.run.interrupts import SENTENCE
from fairshards.pipeline.run.jobs import Launcher
from tests.pipeline.small import Small, write_recipe

LONG = 300.0
"""Seconds that a busy machine may need for a state that takes a few; what waits looks at the state, not at the time."""


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(small: Small) -> Iterator[Start]:
    """Start a run in a group of its own, as a terminal would; none outlives its test."""
    processes: list[subprocess.Popen[str]] = []
    recipe = write_recipe(small.folder)

    def started(root: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "fairshards", "run", str(recipe), "-o", str(root), "-q", *options]
        processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)
        )
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(state: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LONG
    while not state():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ends_well(process: subprocess.Popen[str], code: int = 130) -> None:
    said = process.communicate(timeout=LONG)[0]
    assert (process.returncode, said.strip().splitlines()[-1:]) == (code, [SENTENCE]), said
    assert "while running" not in said and "Traceback" not in said, said


MANY = ("--until", "curate", "--set", "quota.per_group=200", "--set", "quota.max_rounds=1")
"""So many samples that no test sees their end."""
ENDLESS = ("--set", "training.methods=[erm]", "--set", "training.settings.main.epochs=100000")


def test_ctrl_c_ends_the_making_of_pictures(start: Start, tmp_path: Path) -> None:
    process = start(tmp_path / "run", *MANY)
    wait_for(lambda: any((tmp_path / "run").glob("raw/*.parquet")), process)
    process.send_signal(signal.SIGINT)
    ends_well(process)


def test_sigterm_ends_a_training(start: Start, copy: Callable[[], Path]) -> None:
    root = copy()
    process = start(root, *ENDLESS)
    wait_for(lambda: any(root.glob("training/*/*.checkpoint.*")), process)
    process.send_signal(signal.SIGTERM)
    ends_well(process, 143)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code", "to_all"), [("SIGINT", 130, True), ("SIGTERM", 143, False)])
def test_worker_processes_are_quiet_and_end_with_their_driver(
    start: Start, tmp_path: Path, sent: str, code: int, to_all: bool
) -> None:
    process = start(tmp_path / "run", *MANY, "--workers", "2")
    wait_for(lambda: any((tmp_path / "run").glob("raw/*.parquet")), process)
    workers = children(process.pid)
    assert len(workers) == 2
    if to_all:
        os.killpg(process.pid, signal.Signals[sent])
    else:
        process.send_signal(signal.Signals[sent])
    said = process.communicate(timeout=LONG)[0]
    assert (process.returncode, said.strip()) == (code, SENTENCE)
    assert not any(map(alive, workers))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["a worker", "the driver"])
def test_a_killed_process_leaves_none_of_the_others(start: Start, tmp_path: Path, which: str) -> None:
    process = start(tmp_path / "run", *MANY, "--workers", "2")
    wait_for(lambda: any((tmp_path / "run").glob("raw/*.parquet")), process)
    workers = children(process.pid)
    os.kill(workers[0] if which == "a worker" else process.pid, signal.SIGKILL)
    said = process.communicate(timeout=LONG)[0]
    if which == "a worker":
        assert process.returncode == 1 and said.startswith("error: a worker process was ended by SIGKILL"), said
        assert "Traceback" not in said
    deadline = time.monotonic() + LONG
    while any(map(alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


class _Interrupted:
    """A step that is interrupted, as Beam sees it."""

    def __call__(self, element: int) -> int:
        raise KeyboardInterrupt


def test_a_job_that_is_interrupted_raises_keyboard_interrupt() -> None:
    import apache_beam as beam

    with pytest.raises(KeyboardInterrupt):
        Launcher().map([1], beam.Map(_Interrupted()))


def test_what_was_swallowed_is_raised_at_the_end_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    import apache_beam as beam

    monkeypatch.setattr(interrupts, "_received", [signal.SIGTERM])
    with pytest.raises(typer.Exit) as caught, expected_errors(debug=True):
        Launcher().map([1], beam.Map(str))
    assert caught.value.exit_code == 143
