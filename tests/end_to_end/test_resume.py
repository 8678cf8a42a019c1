"""SIGKILL at any moment, the same command again: the same curated bytes and the same catalog."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairshards.catalogs.database.catalog import Catalog, dump
from fairshards.pipeline.run.folder import RunFolder
from tests.pipeline.small import Small, digests

KILL_WHEN: dict[str, Callable[[Path], bool]] = {
    "the first source shard is there": lambda run: any(run.glob("source/source-*.tar")),
    "a raw tar is there": lambda run: any(run.glob("raw/*.tar")),
    "three raw manifests are there": lambda run: len(list(run.glob("raw/*.parquet"))) >= 3,
    "half the scores are there": lambda run: len(list(run.glob("scores/*.parquet"))) >= 4,
    "the curated tar is there": lambda run: any(run.glob("curated/*/*.tar")),
}


def start(recipe: Path, root: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fairshards", "run", str(recipe), "--until", "curate", "-o", str(root), "-q"]
    with open(log, "ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Kill the whole process group as soon as the state is reached."""
    deadline = time.monotonic() + 180
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_at_every_stage_and_resumed(small: Small, tmp_path: Path) -> None:
    recipe, root, log = small.folder / "recipe.yaml", tmp_path / "run", tmp_path / "log"
    kept: dict[str, str] = {}
    for state, reached in KILL_WHEN.items():
        process = start(recipe, root, log)
        kill_when(process, lambda reached=reached: reached(root))  # type: ignore[misc]
        finished = digests(root, "raw/*.parquet")
        assert kept.items() <= finished.items(), f"a finished shard was made again before {state}"
        assert not RunFolder(root).finished()
        kept = finished
    process = start(recipe, root, log)
    assert process.wait(timeout=240) == 0, log.read_text()
    assert RunFolder(root).finished()
    assert digests(root, "curated/*/*.tar") == digests(small.root, "curated/*/*.tar")
    assert digests(root, "raw/*.tar").items() >= digests(small.root, "raw/*.tar").items()
    assert kept.items() <= digests(root, "raw/*.parquet").items()
    assert without_paths(root) == without_paths(small.root)


def without_paths(root: Path) -> dict[str, list[tuple[object, ...]]]:
    with Catalog.open(root) as catalog:
        return dump(catalog.con)


@pytest.mark.parametrize("name", ["run-*.parquet", "plan/*.parquet", "raw/*.parquet"])
def test_a_damaged_manifest_is_made_again(small: Small, tmp_path: Path, name: str) -> None:
    import shutil

    root = Path(shutil.copytree(small.root, tmp_path / "run"))
    path = sorted(root.glob(name))[0]
    path.write_bytes(path.read_bytes()[:100])
    small.run(root)
    assert digests(root, "curated/*/*.tar") == digests(small.root, "curated/*/*.tar")
