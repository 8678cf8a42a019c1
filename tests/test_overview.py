"""The README's picture: it shows what the catalogs say, and the one that is kept shows what the README says."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from PIL import Image

from benchmarks.overview import METHODS, Run, accuracies, drawing, edits, groups
from fairshards.catalogs.database import statements

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "figures" / "overview.svg"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two groups of real pictures, a reported phrase with one edit, and four trainings; every picture is 3 bytes."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/s.tar").write_bytes(b"aaabbb")
    (tmp_path / "edits").mkdir()
    (tmp_path / "edits/e.tar").write_bytes(b"-ccc")
    with duckdb.connect(tmp_path / "catalog.duckdb") as con:
        for statement in statements.schema_statements():
            con.execute(statement)
        con.execute("""
            INSERT INTO shard_index (sample_id, split, y, b, group_name, g, shard, "offset", size, manifest) VALUES
                ('s0', 'train', 0, 0, 'bird|land', 0, 's.tar', 0, 3, 'source/index.parquet'),
                ('s1', 'train', 0, 0, 'bird|land', 0, 's.tar', 3, 3, 'source/index.parquet'),
                ('s2', 'train', 0, 0, 'bird|land', 0, 's.tar', 3, 3, 'source/index.parquet'),
                ('s3', 'train', 0, 1, 'bird|water', 0, 's.tar', 3, 3, 'source/index.parquet'),
                ('s4', 'test', 0, 1, 'bird|water', 0, 's.tar', 3, 3, 'source/index.parquet');
            INSERT INTO spurious_features (y, class_name, phrase, rank, spurious, hits, successes, manifest) VALUES
                (0, 'bird', 'land', 1, true, 38, 48, 'm'), (0, 'bird', 'reed', 2, false, 1, 9, 'm');
            INSERT INTO edit_plan (edit_id, source_id, y, phrase, phrase_group, manifest) VALUES
                ('e0', 's3', 0, 'land', 'land', 'm'), ('e1', 's0', 0, 'grass & "land"', 'land', 'm');
            INSERT INTO edits (edit_id, shard, "offset", size, manifest) VALUES
                ('e0', 'e.tar', 0, 3, 'edits/e.parquet'), ('e1', 'e.tar', 1, 3, 'edits/e.parquet');
            INSERT INTO edit_scores (edit_id, hit, probability_shift, manifest) VALUES
                ('e0', false, -0.9, 'm'), ('e1', true, -0.5, 'm');
        """)
        for number, method in enumerate(METHODS):
            con.execute("INSERT INTO training_runs (training_id, name, method, manifest) VALUES ($1, $2, $1, 'm')",
                        [method, method.upper()])  # fmt: skip
            for b, correct in enumerate((90, 10 * number + 3)):
                con.execute("INSERT INTO group_metrics (training_id, stage, split, y, b, group_name, n, correct, "
                            "accuracy, manifest) VALUES ($1, 'final', 'test', 0, $2, $3, 100, $4, $4 / 100, 'm')",
                            [method, b, f"bird|{b}", correct])  # fmt: skip
    return Run(tmp_path)


def words(parts: str) -> list[str]:
    return [node.text or "" for node in ElementTree.fromstring(parts).iter(f"{SVG}text")]


def pictures(parts: str) -> list[bytes]:
    found = ElementTree.fromstring(parts).iter(f"{SVG}image")
    return [base64.b64decode(node.attrib["href"].partition(",")[2]) for node in found]


def test_the_panels_show_what_the_catalog_says(run: Run) -> None:
    shown = drawing((("A", "a", groups(run, 0, "train", "#000")), ("B", "b", edits(run)), ("C", "c", accuracies(run))))
    assert words(shown) == [
        "1. A", "a", "bird on land", "3", "bird on water", "1",
        "2. B", "b", "→", "without “land” 38 of 48", "are no longer called bird",
        "3. C", "c", "ERM, real pictures only", "3.0", "USB", "13.0", "ASB", "23.0", "FFR", "33.0",
    ]  # fmt: skip
    assert pictures(shown) == [b"aaa", b"bbb", b"aaa", b"ccc"]


def test_a_group_that_is_rare_is_seen(run: Run) -> None:
    bars = re.findall(r'width="([\d.]+)" height="12" rx="2" fill="(.*?)"', "".join(groups(run, 0, "train", "#000")))
    assert bars == [("110.0", "#000"), ("36.7", "#c0392b")]


def test_the_kept_picture_shows_what_the_readme_prints() -> None:
    said, readme = words(KEPT.read_text()), (ROOT / "README.md").read_text()
    worst = re.findall(r"^(ERM|USB|ASB|FFR) +([\d.]+) ", readme, re.MULTILINE)
    assert [(name.partition(",")[0], value) for name, value in zip(said[-8::2], said[-7::2], strict=True)] == worst
    assert [word for word in said if word in ("485", "15")] == ["485", "15", "15", "485"]
    per_group = re.search(r"(\d+) a group in the balanced split", readme)
    assert per_group and said.count(per_group[1]) == 4
    assert {Image.open(io.BytesIO(data)).size for data in pictures(KEPT.read_text())} == {(64, 64)}
    assert KEPT.stat().st_size < 150_000
