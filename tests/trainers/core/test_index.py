"""Reading index manifests: what they hold, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fairshards.catalogs.manifests.manifest import Head, encode, write_local
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import (
    class_counts,
    class_names,
    group_counts,
    group_names,
    index_hash,
    read_index,
    without_bias,
)
from tests.trainers.aspire_world import rewrite, unknown, without_columns
from tests.trainers.shapes import BIASED, EVEN, bare_samples, shape_pictures, write_index


def test_an_index_gives_its_samples_in_order_and_by_split(real_index: Path) -> None:
    index = read_index(real_index, g=0)
    assert index.content_sha256 == index_hash(real_index.parent)
    assert index == read_index(real_index.parent, g=0)
    assert group_counts(index.of("train")) == BIASED
    assert group_counts(index.of("val", "test")) == {group: 2 * count for group, count in EVEN.items()}
    assert all(sample.shard.is_absolute() and sample.shard.is_file() for sample in index.samples)
    assert class_names(index.samples) == ("square", "cross")
    assert group_names(index.samples)[0, 1] == "square|green"


def test_an_unknown_bias_is_said_in_one_way(real_index: Path) -> None:
    labelled = read_index(real_index, g=0).samples
    for change in (unknown, without_columns):
        index = read_index(rewrite(real_index, f"{change.__name__}.parquet", change), g=0)
        assert index.samples == without_bias(labelled)
        assert group_names(index.samples) == {(0, -1): "square|unknown", (1, -1): "cross|unknown"}
    assert class_counts(labelled) == {"square": 144, "cross": 144}


def test_a_split_that_is_not_there_is_an_error_that_names_those_that_are(real_index: Path) -> None:
    with pytest.raises(TrainerError, match=r"no sample of split balanced; it has \['test', 'train', 'val'\]"):
        read_index(real_index, g=0).of("balanced")


def test_swapped_indexes_are_noticed(real_index: Path, synthetic_index: Path) -> None:
    with pytest.raises(TrainerError, match=r"only real samples .* but 168 are synthetic"):
        read_index(synthetic_index, g=0)
    with pytest.raises(TrainerError, match="were the two indexes swapped"):
        read_index(real_index, g=1)


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    row = {"sample_id": "a" * 32, "split": "train", "y": 0, "b": 0, "g": 0, "shard": "x.tar"}
    data, _ = encode(Head("index", "t", "h"), [row, row], {})
    write_local(tmp_path / "index.parquet", data)
    with pytest.raises(TrainerError, match="1 sample ids twice, first aaaa"):
        read_index(tmp_path, g=0)


def test_another_stage_an_empty_index_and_no_index_are_refused(tmp_path: Path) -> None:
    write_local(tmp_path / "other.parquet", encode(Head("run", "t", "h"), [], {})[0])
    write_local(tmp_path / "empty.parquet", encode(Head("index", "t", "h"), [], {})[0])
    with pytest.raises(TrainerError, match="stage 'run'; trainers read stage 'index'"):
        read_index(tmp_path / "other.parquet", g=0)
    with pytest.raises(TrainerError, match="has no samples"):
        read_index(tmp_path / "empty.parquet", g=0)
    with pytest.raises(TrainerError, match="no index at"):
        index_hash(tmp_path / "nowhere.parquet")


def test_group_counts_name_groups_without_a_sample() -> None:
    assert group_counts(bare_samples({(1, 0): 2}), groups=[(0, 1)]) == {(0, 1): 0, (1, 0): 2}


def test_a_gap_in_the_class_numbers_is_an_error() -> None:
    with pytest.raises(TrainerError, match=r"numbered \[0, 2\]; expected 0 to 1"):
        class_names([*bare_samples({(0, 0): 1}), *bare_samples({(2, 0): 1})])


def test_the_content_hash_changes_with_the_rows(tmp_path: Path) -> None:
    pictures = shape_pictures({"train": {(0, 0): 2, (1, 1): 2}})
    one = write_index(tmp_path / "one", pictures)
    two = write_index(tmp_path / "two", [replace(pictures[0], split="val"), *pictures[1:]])
    assert index_hash(one) != index_hash(two)
