"""A run to its end, for environments other than the locked one: `make test-minimum` and `make test-lowest`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.pipeline.small import write_recipe

pytestmark = pytest.mark.slow


def fairshards(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder``."""
    command = [sys.executable, "-m", "fairshards", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_small_run_comes_to_its_report_and_answers(tmp_path: Path) -> None:
    training = {"methods": ["erm", "ffr"], "settings": {"main": {"epochs": 1}}}
    recipe = write_recipe(tmp_path, training=training)
    done = fairshards("run", str(recipe), "-q", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/small/report.html").stat().st_size > 10_000
    for command in (["query", "runs/small", "balance"], ["verify", "runs/small", "--samples", "2"]):
        done = fairshards(*command, folder=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(find_spec("pandas") is not None, reason="the extra is installed")
def test_what_needs_an_extra_says_so(tmp_path: Path) -> None:
    done = fairshards("run", "btgan_support2", folder=tmp_path)
    assert done.returncode == 1 and "pip install 'fairshards[records]'" in done.stderr.replace("\n", " ")


@pytest.mark.skipif(find_spec("pandas") is None, reason="the extra isn't installed")
def test_records_are_made(tmp_path: Path) -> None:
    model = "model.settings={steps: 40, stage2_steps: 10, window: 20, snapshot: 5, hidden: 16, depth: 1, batch: 64}"
    smaller = (model, "quota.rows=200", "quota.shard_size=100", "quota.max_rounds=2", "evaluation.bootstrap=5")
    sets = [part for setting in smaller for part in ("--set", setting)]
    done = fairshards("run", "btgan_support2", *sets, "-q", folder=tmp_path)
    assert done.returncode == 0, done.stderr
