"""Tars that others wrote: twins of macOS, capitals, compression, keys that restart, members apart, patterns."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from fairshards.transforms.sources import SourceError, WebDatasetReader
from fairshards.transforms.sources.stage import plan_source
from tests.transforms.dataset import LABELS, Read, bird, picture, tar_of, tree


def read(data: Path, run: Path, **options: object) -> Read:
    return Read(WebDatasetReader(str(data), **options), run)  # type: ignore[arg-type]


def rules(data: Path, **options: object) -> list[tuple[str, ...]]:
    return [unit.rules for unit in WebDatasetReader(str(data), **options).listing().units]  # type: ignore[arg-type]


def test_keys_that_restart_in_every_tar_get_their_tar_s_name(tmp_path: Path) -> None:
    for number in range(3):
        tar_of(tmp_path / f"data/train-{number}.tar", bird("000") + bird("001"))
    tar_of(tmp_path / "data/train-9.tar", bird("own"))
    tar_of(tmp_path / "data/val-0.tar", bird("own") + bird("x"))
    found = read(tmp_path / "data", tmp_path / "run")
    assert found.good == [*(f"train-{n}/{key}" for n in range(3) for key in ("000", "001")), "own", "own", "x"]
    assert not found.reasons and len({row["source_id"] for row in found.rows}) == 9


def test_keys_that_are_unique_keep_their_names_and_hashes(tmp_path: Path) -> None:
    tar_of(tmp_path / "data/train-0.tar", bird("a"))
    tar_of(tmp_path / "data/train-1.tar", bird("b") + bird("b"))
    assert rules(tmp_path / "data") == [(), ()]
    found = read(tmp_path / "data", tmp_path / "run")
    assert (found.good, found.reasons) == (["a", "b"], {"b": "duplicate_key"})


def test_twins_of_macos_tear_no_sample_apart(tmp_path: Path) -> None:
    members = [twin for name, data in bird("a") + bird("b") for twin in [(f"./._{name}", b"\0"), (f"./{name}", data)]]
    tar_of(tmp_path / "data/train-0.tar", [*members, ("__MACOSX/._a.png", b"\0")])
    found = read(tmp_path / "data", tmp_path / "run")
    assert (found.good, found.reasons, found.ignored) == (["./a", "./b"], {}, {"hidden": 7})


def test_extensions_in_capitals_and_rarer_formats_are_read(tmp_path: Path) -> None:
    others = [(f"c.{name}", data) for name, data in (("GIF", picture(form="GIF")), ("CLS", b"1"))]
    tar_of(tmp_path / "data/train-0.tar", bird("a", image="PNG") + others + [("c.JSON", b'{"background": "water"}')])
    found = read(tmp_path / "data", tmp_path / "run")
    assert found.good == ["a", "c"]
    assert [row["group_name"] for row in found.rows] == ["landbird|land", "waterbird|water"]
    assert rules(tmp_path / "data") == [("capitals", "formats")]


@pytest.mark.parametrize(
    "name", ["train-0.tar.gz", "train-0.tgz", "train-0.tar.bz2", "train-0.tar.xz", "train-0.tar.zst", "train-0.tar"]
)
def test_compressed_tars_are_read(name: str, tmp_path: Path) -> None:
    plain = tar_of(tmp_path / "plain.tar", bird("a") + bird("b")).read_bytes()
    pack = {
        "gz": gzip.compress,
        "tgz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "zst": lambda data: pa.Codec("zstd").compress(data).to_pybytes(),
    }
    packed = pack.get(name.rpartition(".")[2], gzip.compress)(plain)
    tree(tmp_path / "data", {name: packed})
    assert read(tmp_path / "data", tmp_path / "run").good == ["a", "b"]


def test_a_tar_is_read_to_its_end_or_says_where_it_stops(tmp_path: Path) -> None:
    """tarfile takes a damaged header for the end, and a tar behind the end of another for nothing."""
    first = tar_of(tmp_path / "a.tar", [*bird("a"), *bird("b"), *bird("c")]).read_bytes()
    second = tar_of(tmp_path / "b.tar", bird("d")).read_bytes()
    header = first.index(b"c.png\0")
    members = first.rstrip(b"\0")
    members += bytes(-len(members) % 512)
    cases = {
        "damaged": (first[:header] + b"x" * 512 + first[header + 512 :], ["a"], "no member's header at byte"),
        "in a header": (first[: header + 100], ["a"], "no member's header at byte"),
        "behind": (first + second, ["a", "b", "c"], f"{len(second)} bytes stand behind its end"),
        "unclosed": (members, ["a", "b", "c"], "ends without the empty blocks"),
    }
    for name, (data, good, said) in cases.items():
        tree(tmp_path / name, {"train-0.tar": data})
        found = read(tmp_path / name, tmp_path / f"run {name}")
        assert (found.good, found.reasons) == (good, {"train-0.tar": "truncated_tar"})
        assert said in found.detail("train-0.tar") and found.works[0].unit.rules == ("end",)
    tree(tmp_path / "whole", {"train-0.tar": first})
    assert read(tmp_path / "whole", tmp_path / "run").works[0].unit.rules == ()


def test_a_compressed_tar_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    members = [member for n in range(40) for member in bird(f"k{n:02d}", x=str(picture(n)))]
    packed = gzip.compress(tar_of(tmp_path / "plain.tar", members).read_bytes(), 1)
    tree(tmp_path / "data", {"train-0.tar.gz": packed[: len(packed) // 2]})
    found = read(tmp_path / "data", tmp_path / "run")
    assert found.reasons == {"train-0.tar.gz": "truncated_tar"} and 0 < len(found.good) < 40


def test_members_apart_are_one_reject_a_sample_with_the_command_that_mends_it(tmp_path: Path) -> None:
    mixed = bird("a") + bird("b")
    members = sorted(mixed, key=lambda one: one[0].rpartition(".")[2])
    tar_of(tmp_path / "data/train-0.tar", members + bird("c"))
    found = read(tmp_path / "data", tmp_path / "run")
    assert (found.good, found.reasons) == (["c"], {"a": "not_adjacent", "b": "not_adjacent"})
    assert "aren't next to each other in train-0.tar" in found.detail("a") and "tar --sort=name" in found.detail("a")


def test_members_of_no_use_are_counted(tmp_path: Path) -> None:
    more = [
        ("a.emb.npy", b"x"),
        ("a.webp", b"x"),
        ("README.md", b"x"),
        ("alone.cls", b"0"),
        ("p.heic", b"x"),
        ("p.cls", b"0"),
    ]
    tar_of(tmp_path / "data/train-0.tar", bird("a") + more)
    tree(tmp_path / "data", {"other.tar": b"", "train.json": b"", "._train-0.tar": b""})
    found = read(tmp_path / "data", tmp_path / "run")
    assert found.good == ["a"] and found.reasons == {"alone": "missing_image", "p": "unsupported_format"}
    assert found.ignored == {"extra_member": 2, "no_picture": 1, "other_tar": 1, "no_shard": 1, "hidden": 1}


def test_links_inside_a_tar_are_followed(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "data/train-0.tar", bird("a"))
    with tarfile.open(path, "a") as tar:
        for kind, name, target in ((tarfile.LNKTYPE, "b.png", "a.png"), (tarfile.SYMTYPE, "c.png", "c.png")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
            for end, data in ((".cls", b"1"), (".json", b'{"background": "water"}')):
                member = tarfile.TarInfo(name[0] + end)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    found = read(tmp_path / "data", tmp_path / "run")
    assert (found.good, found.reasons) == (["a", "b"], {"c": "empty"})


def test_a_field_that_the_recipe_names_goes_before_cls(tmp_path: Path) -> None:
    tar_of(tmp_path / "data/train-0.tar", bird("a", "0", superclass="waterbird") + bird("b", "0"))
    named = read(tmp_path / "data", tmp_path / "run", class_field="superclass", field_first=True)
    assert [row["class_name"] for row in named.rows] == ["waterbird", None]
    assert named.reasons == {"b": "missing_label"}
    assert [row["class_name"] for row in read(tmp_path / "data", tmp_path / "by").rows] == ["landbird"] * 2


def test_a_named_field_that_agrees_with_cls_changes_no_hash(tmp_path: Path) -> None:
    tar_of(tmp_path / "data/train-0.tar", bird("a", "0"))
    readers = [WebDatasetReader(str(tmp_path / "data"), field_first=named) for named in (True, False)]
    first, usual = (plan_source(reader, "run", "data", LABELS)[0].task.task_hash for reader in readers)
    assert first == usual


def test_numbers_that_json_lacks_are_null_and_the_other_facts_stay(tmp_path: Path) -> None:
    said = b'{"background": "land", "similarity": NaN, "deep": [{"a": -Infinity, "b": 1e999}], "url": "x", "n": 1.5}'
    tar_of(tmp_path / "data/train-0.tar", [*bird("a")[:2], ("a.json", said)])
    (row,) = read(tmp_path / "data", tmp_path / "run").rows
    assert json.loads(row["metadata"]) == {
        "background": "land",
        "similarity": None,
        "deep": [{"a": None, "b": None}],
        "url": "x",
        "n": 1.5,
    }


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("{00000..00001}.tar", ["00000", "00001"]),
        ("0000{0,2}.tar", ["00000", "00002"]),
        (["00001.tar", "0000[02].tar"], ["00000", "00001", "00002"]),
        ("*.tar", ["00000", "00001", "00002"]),
        (["*.tar", "00000.tar"], ["00000", "00001", "00002"]),
    ],
)
def test_braces_lists_and_globs(patterns: object, names: list[str], tmp_path: Path) -> None:
    data = tmp_path / "My data [v2] 100% #1"
    for number in range(3):
        tar_of(data / f"{number:05d}.tar", bird(f"{number:05d}"))
    assert read(data, tmp_path / "run", splits={"train": patterns}).good == names


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": "{0..2}.tar"}, r"nothing matches 1\.tar, which \{0\.\.2\}\.tar names"),
        ({"train": "0.tar", "val": "b-*.tar"}, r"nothing matches b-\*\.tar; mend"),
        ({"train": "{0.tar"}, r"Unbalanced braces.*00000\.\.00009"),
        ({"train": "[0v]*.tar", "val": "val-*.tar"}, r"val-a\.tar is in the splits train and val"),
        ({"train": "0.tar", "valid": "link.tar"}, r"link\.tar is in the splits train and val \(it is the file 0"),
        ({"train": ["0.tar", "link.tar"]}, r"0\.tar and link\.tar are one file"),
        ({"train": "0.tar", "extra": "val-*.tar"}, r"a split 'extra'; known are train, training"),
    ],
)
def test_patterns_that_say_too_little_or_too_much_are_refused(
    splits: dict[str, object], message: str, tmp_path: Path
) -> None:
    tar_of(tmp_path / "0.tar", bird("a"))
    tar_of(tmp_path / "val-a.tar", bird("b"))
    (tmp_path / "link.tar").symlink_to("0.tar")
    with pytest.raises(SourceError, match=message):
        WebDatasetReader(str(tmp_path), splits).listing()  # type: ignore[arg-type]


def test_the_usual_patterns_know_other_names_of_splits(tmp_path: Path) -> None:
    for name in ("Training-0", "validation-0", "test-0"):
        tar_of(tmp_path / f"data/{name}.tar", bird(name))
    assert [row["split"] for row in read(tmp_path / "data", tmp_path / "run").rows] == ["train", "val", "test"]


def test_a_tar_that_cannot_be_read_is_a_reject(tmp_path: Path) -> None:
    tar_of(tmp_path / "data/train-0.tar", bird("a"))
    (tmp_path / "data/train-1.tar").symlink_to("/nowhere.tar")
    found = read(tmp_path / "data", tmp_path / "run")
    assert (found.good, found.reasons) == (["a"], {"train-1.tar": "missing_shard"})
