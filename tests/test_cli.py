"""The command line as a user meets it: help with examples, errors without tracebacks, light start-up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fairshards.pipeline.report import page
from fairshards.pipeline.run.beam_options import beam_options
from fairshards.pipeline.run.jobs import RunnerError

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

    from fairshards.pipeline.cli.app import app

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
            "expected one of source, discover, generate, curate, train, report",
        ),
        (("run", "waterbirds", "--until", "source", "--set", "source.path=/nowhere"), "metadata.csv is not there"),
        (("query", "nothing", "balance"), "no run in 'nothing'"),
        (("plan", "ffr_utkface", "--set", "source.bias_ratio=0.98"), "no published counts for bias_ratio 0.98"),
        (("run", "pocket-waterbirds", "quota.per_group=50"), "did you mean --set quota.per_group=50?"),
        (("run", "pocket-waterbirds", "again"), "got again, which this command doesn't take"),
        (
            ("run", "pocket-waterbirds", "--until", "source", "--", "--flink_mastr=localhost:8081"),
            "Beam has no option --flink_mastr; did you mean --flink_master?",
        ),
        (("run", "pocket-waterbirds", "a=1", "b=2", "--", "--flink_master=x"), "did you mean --set a=1 --set b=2?"),
    ],
)
def test_mistakes_give_one_message_and_no_traceback(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from fairshards.pipeline.cli.app import app

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 1
    assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("runner", "options"),
    [
        ("local", ["--flink_master=x", "--job_endpoint", "localhost:8099"]),
        ("local", ["--experiments=a", "--experiments=b", "--project=p", "--save_main_session"]),
        ("flink", ["--flink_master=x", "--object_reuse", "--checkpointing_interval", "1000", "--parallelism=2"]),
        ("portable", ["--job_endpoint=localhost:8099", "--state_backend=rocksdb"]),
        ("dataflow", ["--region=europe-west4", "--dataflow_service_options=enable_prime"]),
    ],
)
def test_beams_options_are_those_after_the_mark(runner: str, options: list[str]) -> None:
    assert beam_options(["--", *options], runner) == tuple(options)
    assert beam_options([], runner) == beam_options(["--"], runner) == ()


@pytest.mark.parametrize(
    ("runner", "options", "message"),
    [
        ("local", ["--object_reuse"], "no option --object_reuse; the local runner takes none but Beam's"),
        ("local", ["--direct_running_mod", "in_memory"], r"--direct_running_mod; did you mean --direct_running_mode\?"),
        ("flink", ["--flink_mastr", "x"], r"--flink_mastr; did you mean --flink_master\?"),
        ("flink", ["flink_master=x"], "got flink_master=x; expected options like --flink_master=value"),
        ("dataflow", ["-region=x"], "got -region=x; expected options like --region=value"),
        ("local", ["--direct_num_workers=many"], "direct_num_workers: invalid int value: 'many'"),
    ],
)
def test_what_beam_would_ignore_is_refused(runner: str, options: list[str], message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        beam_options(["--", *options], runner)


def test_settings_are_not_offered_where_a_command_takes_none() -> None:
    with pytest.raises(RunnerError, match="got seed=1, which this command doesn't take"):
        beam_options(["seed=1"], "local", takes_set=False)


def test_the_reports_path_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from fairshards.pipeline.cli import app as cli

    run = tmp_path / ("a-long-name-" * 10)
    run.mkdir()
    (run / "recipe.yaml").write_text("")
    monkeypatch.setattr(page, "write_report", lambda folder, recipe, pages: folder.root / "report.html")
    monkeypatch.setattr(cli, "_recipe_of", lambda root: SimpleNamespace(KIND="pictures"))
    done = CliRunner().invoke(cli.app, ["report", str(run)], env={"COLUMNS": "80"})
    assert done.output.splitlines() == [str(run / "report.html")]


def test_start_up_imports_neither_torch_nor_beam() -> None:
    heavy = ("torch", "apache_beam", "diffusers", "duckdb")
    code = f"import sys, fairshards.pipeline.cli.app; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_catalogs_import_neither_torch_nor_beam() -> None:
    code = (
        "import sys, fairshards.catalogs.database.catalog, fairshards.catalogs.questions.query, "
        "fairshards.catalogs.questions.explain; "
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

    from fairshards.pipeline.cli.app import app
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
