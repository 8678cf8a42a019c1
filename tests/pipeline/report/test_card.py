"""The dataset card: counts, shards with checksums, and others' words as plain text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml

from fairshards.pipeline.pictures.pages import PAGES
from fairshards.pipeline.report.card import write_card
from fairshards.pipeline.run.folder import RunFolder
from tests.pipeline.report_run import CURATION, build, make_recipe


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A curated run."""
    folder = tmp_path_factory.mktemp("card") / "run"
    build(folder, make_recipe(), until="curate")
    return folder


def test_the_card_names_every_shard_with_its_checksum(root: Path) -> None:
    readme, croissant = write_card(RunFolder(root), make_recipe(), PAGES)
    said = json.loads(croissant.read_text())
    assert said["conformsTo"].endswith("croissant/1.0")
    files = [entry for entry in said["distribution"] if entry["@type"] == "cr:FileObject"]
    assert {entry["contentUrl"] for entry in files} == {
        f"curated/{CURATION}/{name}" for name in ("balanced-000000.tar", "extra-000000.tar", "index.parquet")
    }
    for entry in files:
        assert entry["sha256"] == hashlib.sha256((root / entry["contentUrl"]).read_bytes()).hexdigest()
    front = yaml.safe_load(readme.read_text().split("---\n")[1])
    assert [config["config_name"] for config in front["configs"]] == ["balanced", "extra"]
    assert f"curated/{CURATION}/balanced-000000.tar" in readme.read_text()
    assert "| landbird\\|water | 1 | 12 |" in readme.read_text()


def test_fields_point_at_things_that_are_there(root: Path) -> None:
    said = json.loads(write_card(RunFolder(root), make_recipe(), PAGES)[1].read_text())
    known = {entry["@id"] for entry in said["distribution"]}
    fields = [field for records in said["recordSet"] for field in records["field"]]
    for field in fields:
        (target,) = [place["@id"] for place in field["source"].values() if isinstance(place, dict) and "@id" in place]
        assert target in known
    assert {field["@id"] for field in fields} >= {"samples/group_name", "images/image"}


def test_its_command_names_the_run_from_the_working_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    assert "`fairshards verify run` checks" in write_card(RunFolder(root), make_recipe(), PAGES)[0].read_text()
    monkeypatch.chdir("/")
    shown = root.relative_to("/")
    assert f"`fairshards verify {shown}` checks" in write_card(RunFolder(root), make_recipe(), PAGES)[0].read_text()
    (root.parent / "elsewhere").mkdir()
    monkeypatch.chdir(root.parent / "elsewhere")
    assert f"`fairshards verify {root}` checks" in write_card(RunFolder(root), make_recipe(), PAGES)[0].read_text()


def test_without_kept_samples_there_is_no_card(tmp_path: Path) -> None:
    recipe = make_recipe()
    build(tmp_path / "run", recipe, until="generate")
    assert write_card(RunFolder(tmp_path / "run"), recipe, PAGES) == []
    assert not (tmp_path / "run/README.md").exists()


def test_the_card_is_the_same_every_time_and_shows_names_as_text(tmp_path: Path) -> None:
    recipe = make_recipe(classes=[{"name": "<script>alert(1)"}, {"name": "b`*_"}])
    build(tmp_path / "run", recipe, until="curate")
    first = [path.read_bytes() for path in write_card(RunFolder(tmp_path / "run"), recipe, PAGES)]
    assert first == [path.read_bytes() for path in write_card(RunFolder(tmp_path / "run"), recipe, PAGES)]
    assert b"<script>" not in first[0]
    assert b"&lt;script&gt;alert(1)\\|land" in first[0]
    assert b"b\\`\\*\\_\\|water" in first[0]
