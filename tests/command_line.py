"""Running a command as a user does, in this process: its exit code and all that it printed."""

from __future__ import annotations

from typer.testing import CliRunner, Result


def fairshards(*arguments: object) -> Result:
    """Run ``fairshards ARGUMENTS``; ``stdout``, ``stderr`` and ``exit_code`` say how it ended."""
    from fairshards.pipeline.cli.app import app

    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def error_of(result: Result) -> str:
    """Return a refusal's message in one line; it comes alone, without a traceback, with exit code 1."""
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ") and "Traceback" not in result.stderr, result.output
    return " ".join(result.stderr.removeprefix("error: ").split())
