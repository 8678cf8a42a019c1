"""Run folders that earlier code finished, packed with what they were made of: today's code has nothing left to do."""

from __future__ import annotations

import json
import random
import tarfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

from PIL import Image

from tests.end_to_end.commands import GOLDEN, run

PACKED = GOLDEN / "before"
COLOURS = {
    ("landbird", "land"): 60,
    ("landbird", "water"): 110,
    ("waterbird", "land"): 160,
    ("waterbird", "water"): 210,
}


def resume(folder: Path) -> Path:
    """Run the same command again where a packed run lies; all its paths are relative. Return the run folder."""
    run("recipe.yaml", Path("run"), cwd=folder)
    return folder / "run"


def unpack(kind: str, folder: Path) -> None:
    """Lay a packed run, its recipe and its data into an empty folder; times of change stay as they were."""
    with tarfile.open(PACKED / f"{kind}.tar.gz") as tar:
        tar.extractall(folder, filter="data")


def pack(kind: str, folder: Path) -> Path:
    """Make a run anew and pack it; return the archive."""
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text((PACKED / f"{kind}.yaml").read_text())
    DATA[kind](folder)
    resume(folder)
    said = folder / "run" / "run.json"
    said.write_text(json.dumps({**json.loads(said.read_text()), "working_folder": "."}, indent=1))
    with tarfile.open(PACKED / f"{kind}.tar.gz", "w:gz") as tar:
        tar.add(folder, ".", filter=_packed)
    return PACKED / f"{kind}.tar.gz"


def _packed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out who made it, and the lock with a process's number."""
    member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
    return None if member.name.endswith(".driver.lock") else member


def _pictures(folder: Path) -> None:
    """Write a few pictures a group, one file that is no picture, and one that isn't whole."""
    for split, ((name, place), grey) in product(("train", "val", "test"), COLOURS.items()):
        group = folder / "source" / split / name / place
        group.mkdir(parents=True)
        for number in range(3 if split == "train" else 1):
            Image.new("RGB", (64, 64), (grey, 3 * number, len(split))).save(group / f"{number}.png")
    (folder / "source" / "train" / "landbird" / "land" / "notes.txt").write_text("not a picture")
    (folder / "source" / "train" / "landbird" / "land" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def _people(folder: Path) -> None:
    draw = random.Random(0)
    rows = [
        f"{draw.randrange(20, 90)},{draw.gauss(50, 9):.1f},{draw.choice('abc')},{draw.choice(['f', 'm'])},"
        f"{draw.choice(['yes', 'no', 'no'])}"
        for _ in range(300)
    ]
    (folder / "people.csv").write_text("\n".join(["age,dose,ward,sex,died", *rows]) + "\n")


DATA: dict[str, Callable[[Path], None]] = {"pictures": _pictures, "records": _people}
"""What a packed run is made of, by the name of its recipe."""
