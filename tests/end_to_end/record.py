"""Record anew what the golden tests expect: ``python -m tests.end_to_end.record [NAME ...]``; from code that is right.

A name is a recipe of ``commands.py`` or a packed run of ``before.py``. The latter are only made again when runs of old
must be made again too. With ``--keep FOLDER`` the runs that were recorded stay there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.end_to_end.before import DATA, pack
from tests.end_to_end.commands import GOLDEN, RECIPES, run
from tests.end_to_end.processor import probe
from tests.end_to_end.snapshot import Snapshot, snapshot


def record(recipe: str, folder: Path) -> Path:
    """Run a recipe in ``folder`` and write its hashes; return their file."""
    run(recipe, folder, *RECIPES[recipe])
    file = GOLDEN / f"{recipe}.json"
    file.write_text(as_text({"processor": probe(), **snapshot(folder)}))
    return file


def as_text(recorded: Snapshot) -> str:
    """Return JSON with a line for each file, manifest and table, so that a new record's diff can be read."""
    parts = []
    for part, value in recorded.items():
        entries = value.items() if isinstance(value, dict) and part not in ("recipe", "run.json") else ()
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries)
        parts.append(f" {json.dumps(part)}: " + (f"{{\n{lines}\n }}" if lines else json.dumps(value)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Record what is named, or all recipes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NAME")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.names:
            folder = (given.keep or Path(temporary)).absolute() / name
            print(pack(name, folder) if name in DATA else record(name, folder))


if __name__ == "__main__":
    main()
