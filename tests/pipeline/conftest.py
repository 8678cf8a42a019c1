"""One finished small run that the tests of this folder share; each test works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.driver import RunResult, run
from pipeline.jobs import Launcher
from pipeline.progress import Reporter
from tests.pipeline.small import small_recipe


@dataclass(frozen=True)
class Small:
    """The folder with models, source and recipe, and its finished run."""

    folder: Path
    result: RunResult

    @property
    def root(self) -> Path:
        return self.folder / "run"

    def run(
        self, root: Path, *overrides: str, until: str = "curate", launcher: Launcher | None = None
    ) -> RunResult:
        """Run the small recipe with overrides into ``root``."""
        recipe = small_recipe(self.folder, *overrides)
        return run(recipe, launcher or Launcher(), Reporter(quiet=True), until, root)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small")
    result = run(small_recipe(folder), Launcher(), Reporter(quiet=True), "curate", folder / "run")
    return Small(folder, result)


@pytest.fixture
def copy(small: Small, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that copies the finished run folder."""

    def copied() -> Path:
        return Path(shutil.copytree(small.root, tmp_path / "copied"))

    return copied
