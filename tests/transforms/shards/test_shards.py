"""Tars as bytes: deterministic, indexed by offset, readable by webdataset and Hugging Face datasets."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import webdataset as wds

from fairshards.transforms.shards.tars import ShardSample, read_samples, slice_of, write_shard
from tests.transforms.sources.test_sources import picture


def samples(count: int = 3) -> list[ShardSample]:
    return [
        ShardSample(f"{number:032x}", picture(number), "png", number % 2, {"b": 1, "a": number}, f"caption {number}")
        for number in range(count)
    ]


def test_the_same_samples_give_the_same_bytes_and_true_offsets() -> None:
    tar, places = write_shard(samples())
    assert (tar, places) == write_shard(samples())
    for sample in samples():
        assert slice_of(tar, *places[sample.key]) == sample.image


def test_members_are_sorted_and_carry_no_time() -> None:
    with tarfile.open(fileobj=io.BytesIO(write_shard(samples(2))[0])) as tar:
        infos = tar.getmembers()
    assert [info.name.rpartition(".")[2] for info in infos] == ["cls", "json", "png", "txt"] * 2
    assert {info.mtime for info in infos} == {0}


def test_webdataset_reads_every_sample_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(write_shard(samples())[0])
    read = list(wds.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False))
    assert [(s["__key__"], s["png"], s["cls"], s["txt"]) for s in read] == [
        (s.key, s.image, str(s.y).encode(), s.text.encode()) for s in samples()
    ]


def test_hugging_face_datasets_reads_our_shards(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "a.tar").write_bytes(write_shard(samples())[0])
    read = datasets.load_dataset(
        "webdataset", data_files=str(tmp_path / "a.tar"), split="train", cache_dir=str(tmp_path)
    )
    assert read["__key__"] == [s.key for s in samples()]
    assert read[0]["json"] == {"a": 0, "b": 1} and read[0]["png"].size == (8, 8)


def test_our_own_reader_sees_the_same() -> None:
    read = dict(read_samples(write_shard(samples())[0]))
    assert list(read) == [s.key for s in samples()]
    assert read[samples()[1].key]["png"] == samples()[1].image


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["1.cls", "1.emb.npy", "1.jpg"], {"1": ["cls", "emb.npy", "jpg"]}),
        (["1.a.npy", "1.jpg", "2.a.npy", "2.jpg"], {"1": ["a.npy", "jpg"], "2": ["a.npy", "jpg"]}),
        (["v1.0.cls", "v1.0.png", "v1.1.cls", "v1.1.png"], {"v1.0": ["cls", "png"], "v1.1": ["cls", "png"]}),
        (["a.b/1.png", "a.b/1.cls", ".c/.d.png"], {"a.b/1": ["png", "cls"], ".c/.d": ["png"]}),
        (["README", "1.png"], {"README": [""], "1": ["png"]}),
    ],
)
def test_a_key_ends_at_the_first_dot_unless_all_its_members_have_more(names: list[str], keys: object) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert {key: list(members) for key, members in read_samples(buffer.getvalue())} == keys


@pytest.mark.parametrize("key", ["a.b", "a/b", "", ".."])
def test_keys_that_break_readers_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not alphanumeric"):
        write_shard([ShardSample(key, b"x", "png", 0, {}, "")])


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="there twice"):
        write_shard([samples()[0], samples()[0]])
