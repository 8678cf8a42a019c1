"""Ctrl-C and SIGTERM: the exit code and the sentence wherever they strike, no process left behind, and it goes on."""

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

from pipeline import interrupts
from pipeline.interrupts import SENTENCE
from pipeline.jobs import Launcher
from pipeline.messages import expected_errors
from tests.pipeline.small import write_recipe

LONG = 300.0
"""Seconds that a busy machine may need for a state that takes a few; what waits looks at the state, not at the time."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with so many samples that no test sees its end, and an endless training."""
    folder = tmp_path_factory.mktemp("endless")
    quota = {"per_group": 4, "surplus": 0.0, "shard_size": 2, "max_rounds": 1}
    endless = {"methods": ["erm"], "settings": {"main": {"epochs": 100000}}}
    return write_recipe(folder, quota=quota, training=endless)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(recipe: Path) -> Iterator[Start]:
    """Start a run in a group of its own, as a terminal would; none outlives its test."""
    processes: list[subprocess.Popen[str]] = []

    def started(root: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "fairshards", "run", str(recipe), "-o", str(root), "-q", *options]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                          process_group=0))  # fmt: skip
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


MANY = ("--until", "curate", "--set", "quota.per_group=200")
STATES: dict[str, tuple[tuple[str, ...], str]] = {
    "pictures are made": (MANY, "raw/*.parquet"),
    "a model is trained": ((), "curated/*/index.parquet"),
}


@pytest.mark.parametrize("state", STATES)
def test_ctrl_c_ends_with_its_sentence_and_130(start: Start, tmp_path: Path, state: str) -> None:
    options, pattern = STATES[state]
    process = start(tmp_path / "run", *options)
    wait_for(lambda: any((tmp_path / "run").glob(pattern)), process)
    if state == "a model is trained":
        wait_for(lambda: (tmp_path / "run/run.json").read_text().count("curated/"), process)
    process.send_signal(signal.SIGINT)
    ends_well(process)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("raw/*.parquet")}
    again = start(tmp_path / "run", "--until", "curate", *options)  # and it goes on
    if state == "a model is trained":
        assert again.wait(LONG) == 0, again.communicate()[0]
    else:
        wait_for(lambda: len(list((tmp_path / "run").glob("raw/*.parquet"))) > len(before), again)
        again.send_signal(signal.SIGTERM)
        ends_well(again, 143)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


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
