"""Settings for the whole suite, made before torch is imported; and the record of a full run (--record FILE)."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.pipeline.small import Small

# OpenMP threads that spin while they wait take the cores from everything else that runs
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many workers as cores: one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

TESTS = Path(__file__).parent
NUMERIC = {
    "test_golden",
    "filters",
    "generators",
    "pocket",
    "trainers",
    "test_benchmarks",
    "test_mode_interpolation",
    "test_purity",
    "test_simple_shapes",
    "test_edit",
    "test_generate",
    "test_calibrating",
    "test_compared",
    "test_ehr",
    "test_g_detector",
    "test_pruning",
    "test_silhouettes",
}
"""Folders and modules that compare what a processor computed: `make test-numeric` runs them as on another one."""


LONG = (
    "test_golden",
    "test_interrupts",
    "test_resume",
    "test_packaging",
    "test_discovery",
    "test_bt_gan",
    "test_runners",
    "test_pruning",
    "test_pocket_recipe",
    "test_silhouettes",
    "test_patients",
    "test_text_to_image",
)
"""Modules that take a minute or so go first, so that no process is left with one when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the numeric tests, new ones of their folders too; and put the longest modules first."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    for item in items:
        if not NUMERIC.isdisjoint((item.path.relative_to(TESTS).parts[0], item.path.stem)):
            item.add_marker(pytest.mark.numeric)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin every test with one random state of torch: a process's own is a random one, and tests move it."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, help="Write a Markdown record of this run to FILE.")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write when the suite ran, how it ended, its slowest tests, and the figures that tests recorded."""
    if not (file := config.getoption("--record")):
        return
    found = {name: terminalreporter.stats.get(name, []) for name in ("passed", "failed", "error", "skipped")}
    ended = ", ".join(f"{len(reports)} {name}" for name, reports in found.items())
    calls = [report for name in ("passed", "failed") for report in found[name]]
    slow = sorted(calls, key=lambda report: -report.duration)[:10]
    lines = [f"# The last full run of the suite\n\n`make test-full`, {time.strftime('%Y-%m-%d')}: {ended}.\n"]
    lines += ["| test | seconds |\n|---|---:|", *(f"| `{report.nodeid}` | {report.duration:.0f} |" for report in slow)]
    lines += [f"\nFailed: `{report.nodeid}`" for report in (*found["failed"], *found["error"])]
    lines += ["\n| measured | value |\n|---|---:|"]
    lines += [f"| {name} | {value} |" for report in calls for name, value in report.user_properties]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """One finished small run that many tests share; each works on a copy."""
    from tests.pipeline.small import finished

    return finished(tmp_path_factory.mktemp("small"))


@pytest.fixture
def copy(small: Small, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies the finished run folder."""

    def copied() -> Path:
        return Path(shutil.copytree(small.root, tmp_path / "copied"))

    return copied
