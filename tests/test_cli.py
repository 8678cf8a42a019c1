"""The command line as a user meets it: help with examples, errors without tracebacks, light start-up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    "run",
    "plan",
    "generate",
    "curate",
    "train",
    "report",
    "query",
    "explain",
    "verify",
    "doctor",
    "schema",
    "recipes",
)


def fairshards(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fairshards", *arguments], capture_output=True, text=True, cwd=cwd, env=None
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    from typer.testing import CliRunner

    from pipeline.cli import app

    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert re.search(rf"fairshards\s+{command}", done.output), done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nothing"), "no recipe 'nothing'"),
        (("run", "pocket-waterbirds", "--set", "generator.stepps=1"), "did you mean 'steps'"),
        (
            ("run", "pocket-waterbirds", "--until", "lunch"),
            "expected one of source, generate, curate, train, report",
        ),
        (("run", "waterbirds", "--set", "source.path=/nowhere"), "metadata.csv is not there"),
        (("query", "nothing", "balance"), "no run in 'nothing'"),
        (
            ("plan", "ffr_utkface", "--set", "source.bias_ratio=0.98"),
            "no published counts for bias_ratio 0.98",
        ),
    ],
)
def test_mistakes_give_one_message_and_no_traceback(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from pipeline.cli import app

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr


def test_start_up_imports_neither_torch_nor_beam() -> None:
    heavy = ("torch", "apache_beam", "diffusers", "duckdb")
    code = f"import sys, pipeline.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_catalogs_import_neither_torch_nor_beam() -> None:
    code = (
        "import sys, catalogs.catalog, catalogs.query, catalogs.explain; "
        "print([m for m in ('torch', 'apache_beam') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plan_prints_the_papers_numbers(tmp_path: Path) -> None:
    done = fairshards("plan", "ffr_celeba_hq", "--set", "source.bias_ratio=0.99", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4480" in done.stdout and "published split at r = 0.99" in " ".join(done.stdout.split())


def test_a_full_disk_is_one_message_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    from typer.testing import CliRunner

    from pipeline.cli import app
    from tests.pipeline.small import write_recipe

    recipe = write_recipe(tmp_path, quota={"per_group": 2, "surplus": 0.0, "shard_size": 2})
    command = ["run", str(recipe), "--until", "curate", "-q", "-o", str(tmp_path / "run")]
    fsync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 14:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr and "free some space" in done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setattr(os, "fsync", fsync)
    assert CliRunner().invoke(app, command).exit_code == 0
