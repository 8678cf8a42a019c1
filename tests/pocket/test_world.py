"""Worlds as shards: counts by the bias rule, bytes by the seed, readable by webdataset."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import webdataset as wds
from PIL import Image
from typer.testing import CliRunner

from fairshards.pocket.scenes.render import GROUPS, render_sample
from fairshards.pocket.train import app
from fairshards.pocket.world import biased_counts, command, parse_planted, shuffled_groups, write_world

SMALL: dict[str, Any] = {"n_train": 60, "n_val": 40, "val_min_group": 10, "n_test_per_group": 6, "bias_ratio": 0.9}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, seed=5, **SMALL)
    return folder


def rows(folder: Path, split: str) -> list[dict[str, bytes]]:
    return list(wds.WebDataset(sorted(map(str, folder.glob(f"{split}-*.tar"))), shardshuffle=False))


def groups(folder: Path, split: str) -> Counter[str]:
    return Counter(json.loads(row["json"])["group"] for row in rows(folder, split))


@pytest.mark.parametrize("ratio", [0.5, 0.9, 0.95, 0.97, 0.99])
def test_counts_follow_the_bias_rule(ratio: float) -> None:
    counts = biased_counts(2000, ratio)
    for name, typical, other in (("landbird", "land", "water"), ("waterbird", "water", "land")):
        majority, minority = counts[name, typical], counts[name, other]
        assert majority + minority == 1000
        assert abs(minority - majority * (1 - ratio) / ratio) <= 1


def test_validation_floor() -> None:
    assert biased_counts(400, 0.97, 100) == dict(zip(GROUPS, (194, 100, 100, 194), strict=True))
    assert min(biased_counts(400, 0.97, 10).values()) == 10


@pytest.mark.parametrize("total,ratio", [(1, 0.9), (100, 0.4), (100, 1.2)])
def test_bad_counts_are_refused(total: int, ratio: float) -> None:
    with pytest.raises(ValueError, match="want total"):
        biased_counts(total, ratio)


def test_groups_are_spread_over_the_split() -> None:
    counts = biased_counts(200, 0.9)
    order = shuffled_groups(counts)
    assert Counter(order) == counts
    assert set(order[:60]) == set(GROUPS)


def test_written_counts(world: Path) -> None:
    assert sorted(groups(world, "train").values()) == [3, 3, 27, 27]
    assert sorted(groups(world, "val").values()) == [10, 10, 18, 18]
    assert set(groups(world, "test").values()) == {6} and len(groups(world, "test")) == 4
    assert json.loads((world / "world.json").read_text())["groups"]["train"] == groups(world, "train")


def test_samples_hold_what_they_say(world: Path) -> None:
    for row in rows(world, "train")[:8]:
        record = json.loads(row["json"])
        sample = render_sample("train", 5, record["index"], record["class"], record["background"])
        assert (np.asarray(Image.open(io.BytesIO(row["png"]))) == sample.image).all()
        assert int(row["cls"]) == record["label"] and row["txt"].decode() == record["caption"] == sample.caption
        assert row["__key__"].isalnum() and row["__key__"] == record["key"]


def test_keys_are_unique_over_splits(world: Path) -> None:
    keys = [row["__key__"] for split in ("train", "val", "test") for row in rows(world, split)]
    assert len(keys) == len(set(keys)) == 60 + 56 + 24


def test_same_bytes_twice_and_nothing_stale(world: Path, tmp_path: Path) -> None:
    (tmp_path / "train-000007.tar").write_bytes(b"left by a larger world")
    write_world(tmp_path, seed=5, **SMALL)
    names = sorted(path.name for path in world.iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert all((world / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_planted_objects_come_with_their_rates_and_change_nothing_else(world: Path, tmp_path: Path) -> None:
    rates = {"waterbird": {"buoy": 0.5}, "landbird": {"branch": 1.0}}
    write_world(tmp_path, seed=5, object_rates=rates, **SMALL)
    plain, planted = ([json.loads(row["json"]) for row in rows(folder, "train")] for folder in (world, tmp_path))
    assert json.loads((tmp_path / "world.json").read_text())["object_rates"] == rates
    kinds = Counter((record["class"], record["object"]) for record in planted)
    assert kinds["landbird", "branch"] == 30 and 8 <= kinds["waterbird", "buoy"] <= 22
    assert kinds["waterbird", None] == 30 - kinds["waterbird", "buoy"]
    assert all(record["object"] in (record["caption"] if record["object"] else (None,)) for record in planted)
    for before, after in zip(plain, planted, strict=True):
        same = [name for name in before if before[name] == after[name]]
        assert {*before} - {*same} <= {"object", "caption"}


def test_planted_is_read_from_the_command_line(tmp_path: Path) -> None:
    planted = parse_planted("waterbird:reed=0.9, landbird:branch=0.5,landbird:rock=.25")
    assert planted == {"waterbird": {"reed": 0.9}, "landbird": {"branch": 0.5, "rock": 0.25}}
    app = typer.Typer()
    app.command()(command)
    small = ["--n-train", "4", "--n-val", "4", "--n-test-per-group", "1", "--val-min-group", "1"]
    made = CliRunner().invoke(app, [str(tmp_path), *small, "--planted", "waterbird:buoy=1"])
    assert made.exit_code == 0, made.output
    assert {json.loads(row["json"])["object"] for row in rows(tmp_path, "test")} == {None, "buoy"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("reed=0.9", "want class:object=rate"),
        ("gull:reed=0.9", "gull"),
        ("waterbird:hat=0.9", "hat"),
        ("waterbird:reed=1.5", "at most 1"),
        ("waterbird:reed=.7,waterbird:rock=.7", "at most 1"),
        ("waterbird:reed=.1,waterbird:reed=.1", "twice"),
    ],
)
def test_bad_planted_objects_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_planted(text)


def test_a_world_with_bad_rates_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gull"):
        write_world(tmp_path / "world", object_rates={"gull": {"reed": 0.5}})
    assert not (tmp_path / "world").exists()


def test_other_seed_other_pictures(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path, seed=6, **SMALL)
    assert not {row["png"] for row in rows(world, "test")} & {row["png"] for row in rows(tmp_path, "test")}


@pytest.mark.parametrize("name", ["diffusion", "captioner", "segmenter", "extractor"])
def test_commands_have_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0 and "Example" in result.output
