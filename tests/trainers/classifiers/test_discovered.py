"""Groups by name: discovered ones from their manifest, true ones by bias label."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import read_index, without_bias
from fairshards.trainers.methods.discovered import discovered_groups, groups_hash, read_groups, true_groups
from tests.trainers.aspire_world import PHRASES, Row, write_groups


def test_every_captioned_image_is_in_its_group(tmp_path: Path, real_index: Path) -> None:
    samples = read_index(real_index, g=0).of("train", "val")
    found = discovered_groups(read_groups(write_groups(tmp_path / "groups.parquet", real_index)), samples)
    assert len(found) == len(samples)
    for sample in samples:
        phrase = PHRASES[sample.class_name]
        assert found[sample.sample_id] == f"{sample.class_name}|{'' if sample.y == sample.b else 'no '}{phrase}"


def test_a_class_without_a_phrase_is_one_group_captioned_or_not(tmp_path: Path, real_index: Path) -> None:
    samples = read_index(real_index, g=0).of("train", "val")
    lost = samples[0].sample_id, samples[1].sample_id

    def one_lost(row: Row) -> Row | None:
        return None if row["source_id"] in lost else row

    path = write_groups(tmp_path / "groups.parquet", real_index, {**PHRASES, "cross": None}, one_lost)
    found = discovered_groups(read_groups(path), samples)
    assert set(found.values()) == {"square|red light", "square|no red light", "cross"}
    for sample in samples[:2]:
        assert (sample.sample_id in found) == (sample.class_name == "cross")


def test_groups_that_do_not_fit_are_refused(tmp_path: Path, real_index: Path) -> None:
    samples = read_index(real_index, g=0).of("train", "val")

    def refused(name: str, change: object, message: str) -> None:
        path = write_groups(tmp_path / name, real_index, change=change)  # type: ignore[arg-type]
        with pytest.raises(TrainerError, match=message):
            discovered_groups(read_groups(path), samples)

    refused("a", lambda row: row if row["y"] else None, "has no group of class 'square'; it has classes cross")
    refused("b", lambda row: None if (row["y"], row["split"]) == (0, "val") else row, "no val sample of class 'square'")
    refused("c", lambda row: {**row, "source_id": f"other {row['source_id']}"}, "discovered in another dataset")
    mixed = {"train": "tree", "val": "lamp"}
    refused("d", lambda row: {**row, "phrase": mixed[row["split"]]}, r"two phrases, \['lamp', 'tree'\]")


def test_what_is_no_manifest_of_groups_is_refused(tmp_path: Path, real_index: Path) -> None:
    with pytest.raises(TrainerError, match=r"no discovered groups at .*; run the discovery first"):
        groups_hash(tmp_path / "gone.parquet")
    with pytest.raises(TrainerError, match="of stage 'index'; discovered groups are stage 'groups'"):
        read_groups(real_index)


def test_true_groups_need_every_bias_label(real_index: Path) -> None:
    samples = read_index(real_index, g=0).of("train", "val")
    assert set(true_groups(samples).values()) == {"square|red", "square|green", "cross|red", "cross|green"}
    with pytest.raises(TrainerError, match="but 1 of 208 real train and val samples have no bias label"):
        true_groups((*samples[:-1], *without_bias(samples[-1:])))
