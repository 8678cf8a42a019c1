"""The doctor: it speaks where an installation is broken, which is where it is needed."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from fairshards.pipeline.cli.doctor import POCKET_MODELS, doctor


def diagnose() -> tuple[int, dict[str, str]]:
    """Return the exit code and the table's rows by what they are about."""
    printed = io.StringIO()
    code = doctor(Console(width=200, file=printed))
    cells = [line.strip("│ ").split("│") for line in printed.getvalue().splitlines() if line.startswith("│")]
    return code, {what.strip(): f"{found.strip()}: {good.strip()}" for what, found, good in cells}


def test_all_is_well_here() -> None:
    code, rows = diagnose()
    assert code == 0, rows
    assert rows["runner local"] == "ran a pipeline: yes"
    assert all(rows[f"model pocket:{name}"].endswith("weight files: yes") for name in POCKET_MODELS)


@pytest.mark.parametrize(("module", "row"), [("torch", "devices"), ("apache_beam", "runners")])
def test_a_package_that_fails_to_import_is_a_row(module: str, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, rows = diagnose()
    assert code == 1
    assert rows[row] == f"ModuleNotFoundError: import of {module} halted; None in sys.modules: no"
    assert {"python", "free disk here", "model pocket:oracle"} <= rows.keys()


def test_what_is_found_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libtorch.so: [/bold] undefined symbol")

    monkeypatch.setattr("fairshards.pipeline.cli.doctor._devices", broken)
    assert diagnose()[1]["devices"] == "OSError: libtorch.so: [/bold] undefined symbol: no"
