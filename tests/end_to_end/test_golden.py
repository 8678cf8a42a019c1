"""The shipped recipes at small size give what is recorded: names, bytes, rows, columns; elsewhere, what can't move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.before import DATA, resume, unpack
from tests.end_to_end.commands import GOLDEN, RECIPES, run
from tests.end_to_end.compare import differences, portable
from tests.end_to_end.processor import probe
from tests.end_to_end.snapshot import NOT_HASHED, short, snapshot

SHOWN = 12


@pytest.fixture(scope="module")
def processor() -> str:
    return probe()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_gives_what_is_recorded(recipe: str, processor: str, tmp_path: Path) -> None:
    run(recipe, tmp_path / "run", *RECIPES[recipe], cwd=tmp_path)
    recorded = json.loads((GOLDEN / f"{recipe}.json").read_text())
    now = json.loads(json.dumps(snapshot(tmp_path / "run")))
    compared = "all" if recorded["processor"] == processor else "what no processor moves"
    if compared != "all":
        recorded, now = portable(recorded, recipe), portable(now, recipe)
    lines = differences(recorded, now)
    assert not lines, said(recipe, compared, lines)


@pytest.mark.parametrize("kind", DATA)
def test_a_run_of_earlier_code_is_finished(kind: str, tmp_path: Path) -> None:
    unpack(kind, tmp_path)
    before, listed = made(tmp_path / "run"), manifests_listed(tmp_path / "run")
    assert len(before) > 20
    resume(tmp_path)
    after = made(tmp_path / "run")
    again = [name for name, state in before.items() if after.get(name) != state]
    new = [name for name in after if name not in before]
    assert not again and not new, f"{kind}: made again or gone {again}; new {new}"
    assert manifests_listed(tmp_path / "run") == listed


def made(folder: Path) -> dict[str, tuple[int, str]]:
    """Return when each manifest, shard and model was written, and its hash.

    What every command writes anew is left out, and the run's own manifest, which a new key of the recipe renames.
    """
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, short(path.read_bytes()))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOT_HASHED and not path.name.startswith("run-")
    }


def manifests_listed(folder: Path) -> list[str]:
    """Return the manifests that run.json names, without the run's own."""
    said = json.loads((folder / "run.json").read_text())
    assert said["finished"]
    return [name for name in said["manifests"] if not name.startswith("run-")]


def said(recipe: str, compared: str, lines: list[str]) -> str:
    """Return the failure's message: the first differences, which cause the rest."""
    shown = "\n  ".join(lines[:SHOWN])
    return (f"{recipe}: {len(lines)} things differ from tests/end_to_end/golden/{recipe}.json (compared: {compared}); "
            f"what follows from the first is listed with it:\n  {shown}\nFinished runs of users would be made again. "
            f"If that is meant: python -m tests.end_to_end.record {recipe}")  # fmt: skip
