"""Packages that only some runs need: named where they are missing, before the work starts; and the main job without."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from fairshards import extras
from fairshards.extras import MissingExtra, check_extra, packages_of
from fairshards.pipeline.kinds import load_recipe
from tests.pipeline.small import write_recipe

EXTRAS = ("discovery", "embeddings", "llm", "personal", "records")
BLOCKER = """
import importlib.machinery, importlib.metadata
HIDDEN, NAMES = {hidden!r}, {names!r}
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else super().find_spec(name, path, target)
import sys
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Finder
distribution = importlib.metadata.distribution
def shown(name):
    if name in NAMES:
        raise importlib.metadata.PackageNotFoundError(name)
    return distribution(name)
importlib.metadata.distribution = shown
"""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes distributions look as if they weren't installed."""

    def hide(*names: str) -> None:
        version = importlib.metadata.version

        def seen(name: str) -> str:
            if name in names:
                raise importlib.metadata.PackageNotFoundError(name)
            return version(name)

        monkeypatch.setattr(extras, "version", seen)

    return hide


def test_what_is_installed_passes_and_what_is_missing_is_named(without: Callable[..., None]) -> None:
    for extra in EXTRAS:
        check_extra(extra, "this test")
    without("openai", "pandas")
    with pytest.raises(
        MissingExtra, match=r"^asking needs openai.*, which isn't installed: pip install 'fairshards\[llm\]'"
    ):
        check_extra("llm", "asking")
    check_extra("discovery", "this test")


def test_a_version_that_is_not_allowed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "packages_of", lambda extra: [Requirement("openai>=999")])
    installed = importlib.metadata.version("openai")
    with pytest.raises(MissingExtra, match=rf"openai>=999, but {installed} is installed"):
        check_extra("llm", "asking")


def test_an_installation_from_older_files_is_to_be_made_again() -> None:
    with pytest.raises(MissingExtra, match=r"declares no extra 'no-such'.*install it again"):
        packages_of("no-such")


@pytest.mark.parametrize(
    ("hidden", "recipe", "extra"),
    [("pandas", "btgan_support2", "records"), ("simplemma", "pocket-aspire", "discovery")],
)
def test_a_run_says_at_its_start_what_it_needs(
    hidden: str, recipe: str, extra: str, without: Callable[..., None], tmp_path: Path
) -> None:
    from typer.testing import CliRunner

    from fairshards.pipeline.cli.app import app

    without(hidden)
    done = CliRunner().invoke(app, ["run", recipe, "--output", str(tmp_path / "run")], env={"COLUMNS": "200"})
    assert done.exit_code == 1 and f"pip install 'fairshards[{extra}]'" in done.output.replace("\n", " ")
    assert "Traceback" not in done.output and not list(tmp_path.glob("run/**/*.parquet"))


def test_pictures_are_made_without_any_extra(tmp_path: Path) -> None:
    """The main job's code imports none of their modules: they are hidden from it, as if not installed."""
    distributions = {package.name for extra in EXTRAS for package in packages_of(extra)}
    provided = importlib.metadata.packages_distributions()
    hidden = {module for module, names in provided.items() if distributions & set(names)}
    assert {"pandas", "openai", "simplemma", "snowballstemmer", "fairlearn", "llguidance", "peft"} <= hidden
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(BLOCKER.format(hidden=hidden, names=distributions))
    command = [sys.executable, "-m", "fairshards", "run", str(write_recipe(tmp_path)), "--until", "curate", "-q"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listed: Any = json.loads((tmp_path / "runs/small/run.json").read_text())
    assert any("curated" in str(name) for name in listed["manifests"]), listed


def test_only_a_recipe_of_records_asks_for_them(without: Callable[..., None]) -> None:
    without("pandas", "fairlearn")
    load_recipe("pocket-waterbirds")
    with pytest.raises(MissingExtra, match="a recipe of kind ehr needs pandas"):
        load_recipe("btgan_support2")
