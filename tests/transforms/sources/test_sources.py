"""Readers: what they read, and what they make of bad input."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairshards.catalogs.manifests import manifest
from fairshards.families import SOURCE_READERS
from fairshards.transforms.shards import commit
from fairshards.transforms.sources import (
    ImageFolderReader,
    MetadataCsvReader,
    SourceError,
    SourceReader,
    WebDatasetReader,
)
from fairshards.transforms.sources import stage as source
from fairshards.transforms.sources.labels import GroupLabels, Labels
from fairshards.transforms.sources.stage import ingest_unit, plan_source, write_listing

CLASSES, BIAS = Labels(("landbird", "waterbird")), Labels(("land", "water"))
LABELS = GroupLabels(CLASSES, BIAS)


def picture(seed: int = 0, size: tuple[int, int] = (8, 8), form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=form)
    return buffer.getvalue()


def write_tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def sample(
    key: str, image: bytes | None = None, cls: str | None = "0", background: str | None = "land"
) -> list[tuple[str, bytes]]:
    members = [(f"{key}.png", picture() if image is None else image)]
    if cls is not None:
        members.append((f"{key}.cls", cls.encode()))
    members.append((f"{key}.json", json.dumps({} if background is None else {"background": background}).encode()))
    return members


def ingest(reader: SourceReader, run: Path, labels: GroupLabels = LABELS) -> list[dict]:
    rows = []
    listing = reader.listing()
    write_listing(listing, str(run))
    for work in plan_source(reader, str(run), "data", labels, listing):
        record = ingest_unit(work, reader, labels)
        rows += manifest.read_rows(run / record.manifest)[1]
    return rows


def reasons(rows: list[dict]) -> dict[str, str]:
    return {row["key"]: row["reason"] for row in rows if row["status"] == "reject"}


def test_webdataset_samples_are_stored_byte_for_byte(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a", picture(1)) + sample("sub/b", picture(2), "1", "water"))
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert [(row["key"], row["group_name"], row["split"]) for row in rows] == [
        ("a", "landbird|land", "train"),
        ("sub/b", "waterbird|water", "train"),
    ]
    for row, seed in zip(rows, (1, 2), strict=True):
        tar = (tmp_path / "run/source" / row["shard"]).read_bytes()
        assert tar[row["offset"] : row["offset"] + row["size"]] == picture(seed)


def bomb() -> bytes:
    """A PNG of 40,000 x 40,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_every_bad_sample_is_a_reject_and_nothing_else_is_lost(tmp_path: Path) -> None:
    bad = {
        "empty": (sample("empty", b""), "empty"),
        "truncated": (sample("truncated", picture(3, (64, 64))[:900]), "truncated"),
        "corrupt": (sample("corrupt", b"not a picture at all"), "corrupt"),
        "bomb": (sample("bomb", bomb()), "decompression_bomb"),
        "nolabel": (sample("nolabel", cls=None), "missing_label"),
        "nobias": (sample("nobias", background=None), "missing_label"),
        "class": (sample("class", cls="7"), "unknown_class"),
        "bias": (sample("bias", background="space"), "unknown_bias"),
        "with.dot": (sample("with.dot"), "bad_key"),
        "../up": (sample("../up"), "bad_key"),
        "/abs": (sample("/abs"), "bad_key"),
        "noimage": ([("noimage.cls", b"0"), ("noimage.json", b"{}")], "missing_image"),
        "badjson": (
            [("badjson.png", picture()), ("badjson.cls", b"0"), ("badjson.json", b"{oops")],
            "corrupt_metadata",
        ),
    }
    members = sample("first", picture(1))
    for extra, _ in bad.values():
        members += extra
    write_tar(tmp_path / "data/train-0.tar", members + sample("last", picture(2)))
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert reasons(rows) == {key: reason for key, (_, reason) in bad.items()}
    assert [row["key"] for row in rows if row["status"] == "ok"] == ["first", "last"]
    assert all(row["detail"] for row in rows if row["status"] == "reject")


def test_a_truncated_tar_keeps_what_came_before_the_break(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "data/train-0.tar", [m for n in range(6) for m in sample(f"k{n}", picture(n, (40, 40)))]
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    write_tar(tmp_path / "data/train-1.tar", sample("other"))
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert reasons(rows) == {"train-0.tar": "truncated_tar"}
    good = [row["key"] for row in rows if row["status"] == "ok"]
    assert good[0] == "k0" and 1 < len(good) < 7 and good[-1] == "other"


def test_a_file_that_is_no_tar_is_a_reject(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a"))
    (tmp_path / "data/train-1.tar").write_bytes(b"this is not a tar" * 100)
    assert reasons(ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")) == {
        "train-1.tar": "truncated_tar"
    }


def test_of_a_key_that_is_there_twice_the_first_is_kept(tmp_path: Path) -> None:
    members = sample("a", picture(1)) + sample("b") + sample("a", picture(2))
    write_tar(tmp_path / "data/train-0.tar", members)
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert [(row["key"], row["reason"]) for row in rows] == [("a", None), ("b", None), ("a", "duplicate_key")]
    assert len({row["source_id"] for row in rows}) == 3


def test_of_a_key_whose_first_image_is_corrupt_the_good_one_is_kept(tmp_path: Path) -> None:
    members = sample("a", b"no picture") + sample("b") + sample("a", picture(2)) + sample("c") + sample("a", picture(3))
    write_tar(tmp_path / "data/train-0.tar", members)
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    found = [(row["key"], row["reason"]) for row in rows]
    assert found == [("a", "corrupt"), ("b", None), ("a", None), ("c", None), ("a", "duplicate_key")]
    assert len({row["source_id"] for row in rows}) == 5


def test_groups_that_do_not_exist_are_rejects(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a") + sample("b", background="water"))
    labels = GroupLabels(CLASSES, BIAS, ((0, 0), (1, 1)))
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run", labels)
    assert reasons(rows) == {"b": "unknown_group"}
    assert "'landbird|water'" in rows[1]["detail"] and "waterbird|water" in rows[1]["detail"]


def with_chunk(kind: bytes, body: bytes) -> bytes:
    """A good PNG with one more chunk after its header."""
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return picture(1)[:33] + chunk + picture(1)[33:]


HOSTILE = {
    "digit": (sample("digit", cls="²"), "unknown_class"),
    "digits": (sample("digits", cls="1" * 5000), "unknown_class"),
    "deep": ([("deep.png", picture()), ("deep.cls", b"0"), ("deep.json", b"[" * 100_000)], "unreadable"),
    "caf?": (sample("caf\udce9"), "bad_key"),
    "exif": (sample("exif", with_chunk(b"eXIf", b"MM\0*\0")), None),
    "exif2": (sample("exif2", with_chunk(b"eXIf", b"garbage!")), None),
    "surrogate": (
        [
            ("surrogate.cls", b"0"),
            ("surrogate.json", b'{"background": "land", "note": "a\\ud800b"}'),
            ("surrogate.png", picture()),
            ("surrogate.txt", b"caf\xe9"),
        ],
        None,
    ),
}


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_sample_stops_nothing(key: str, tmp_path: Path) -> None:
    members, reason = HOSTILE[key]
    write_tar(tmp_path / "data/train-0.tar", sample("first") + members + sample("last"))
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert [(row["key"], row["reason"]) for row in rows] == [("first", None), (key, reason), ("last", None)]


def test_what_utf8_cannot_hold_is_replaced_in_captions_and_metadata(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", HOSTILE["surrogate"][0])
    (row,) = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert (row["caption"], json.loads(row["metadata"])["note"]) == ("caf\ufffd", "a?b")


def test_a_picture_with_damaged_exif_is_stored_without_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", HOSTILE["exif"][0])
    (row,) = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    tar = (tmp_path / "run/source" / row["shard"]).read_bytes()
    stored = Image.open(io.BytesIO(tar[row["offset"] : row["offset"] + row["size"]]))
    assert not stored.getexif() and np.array_equal(stored, Image.open(io.BytesIO(picture(1))))


def test_a_file_name_that_is_no_utf8_is_a_bad_key(tmp_path: Path) -> None:
    folder = tmp_path / "data/train/landbird/land"
    folder.mkdir(parents=True)
    for name in (b"1.png", b"caf\xe9.png"):
        (folder / os.fsdecode(name)).write_bytes(picture())
    rows = ingest(ImageFolderReader(str(tmp_path / "data")), tmp_path / "run")
    assert [(row["key"][20:], row["reason"]) for row in rows] == [("1.png", None), ("caf?.png", "bad_key")]
    data = waterbirds(tmp_path / "table", ["1,a.jpg,1,0,1,x"])
    (data / "a.jpg").write_bytes(picture(form="JPEG"))
    with open(data / "metadata.csv", "ab") as table:
        table.write(b"2,caf\xe9.jpg,1,0,1,x\n")
    assert reasons(ingest(MetadataCsvReader(str(data)), tmp_path / "run2")) == {"caf?.jpg": "bad_key"}


@pytest.mark.parametrize("error", [RuntimeError("what no one thought of"), RecursionError("deep")])
def test_whatever_one_sample_raises_is_a_reject(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a", picture(1)) + sample("b", picture(2)))
    raise_for(picture(1), error, monkeypatch)
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert reasons(rows) == {"a": "unreadable"} and rows[0]["detail"] == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_the_machine_lacks_is_no_reject(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a", picture(1)))
    raise_for(picture(1), error, monkeypatch)
    with pytest.raises(type(error)):
        ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")


def raise_for(data: bytes, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the decoder raise ``error`` for one picture."""
    decode = source.decode_image

    def decoder(given: bytes) -> Image.Image:
        if given == data:
            raise error
        return decode(given)

    monkeypatch.setattr(source, "decode_image", decoder)


@pytest.mark.parametrize("kind", ["webdataset", "metadata_csv", "image_folder"])
def test_a_dataset_that_moved_gives_the_same_tasks_and_manifests(kind: str, tmp_path: Path) -> None:
    hashes = []
    for place in (tmp_path / "here", tmp_path / "there/deeper"):
        write_tar(place / "train-0.tar", sample("a", picture(1)) + sample("b", b"no picture"))
        waterbirds(place, ["1,train/landbird/land/1.jpg,1,0,1,x", "2,gone.jpg,1,0,1,x"])
        (place / "train/landbird/land").mkdir(parents=True)
        (place / "train/landbird/land/1.jpg").write_bytes(picture(form="JPEG"))
        (place / "train/landbird/land/2.jpg").symlink_to("gone.jpg")
        reader, run = SOURCE_READERS[kind](str(place)), tmp_path / f"run-{place.name}"  # type: ignore[call-arg]
        listing = reader.listing()
        write_listing(listing, str(run))
        works = plan_source(reader, str(run), "data", LABELS, listing)
        hashes.append([(work.task.task_hash, ingest_unit(work, reader, LABELS).content_sha256) for work in works])
    assert hashes[0] == hashes[1]


def test_another_setting_of_a_reader_is_another_task(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", sample("a"))
    readers = [WebDatasetReader(str(tmp_path)), WebDatasetReader(str(tmp_path), bias_field="place")]
    tasks = [plan_source(reader, "run", "data", LABELS)[0].task.task_hash for reader in readers]
    assert tasks[0] != tasks[1]


def test_members_with_further_dots_belong_to_their_sample(tmp_path: Path) -> None:
    first = [("001.cls", b"0"), ("001.emb.npy", b"x"), ("001.jpg", picture()), ("001.json", b'{"background": "land"}')]
    second = [("d.r/002.depth.png", b"not for us"), ("d.r/002.jpg", picture(1)), ("d.r/002.cls", b"1")]
    write_tar(tmp_path / "data/train-0.tar", first + second + [("d.r/002.json", b'{"background": "water"}')])
    rows = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert [(row["key"], row["reason"], row["group_name"]) for row in rows] == [
        ("001", None, "landbird|land"),
        ("d.r/002", None, "waterbird|water"),
    ]


def test_no_shard_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no shard found .*train-\*\.tar.*source\.path"):
        WebDatasetReader(str(tmp_path)).listing()


def waterbirds(folder: Path, rows: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("img_id,img_filename,y,split,place,place_filename\n" + "\n".join(rows) + "\n")
    return folder


def test_waterbirds_layout(tmp_path: Path) -> None:
    data = waterbirds(
        tmp_path / "data",
        [
            "1,001.Albatross/a_01.jpg,1,0,1,/o/ocean/1.jpg",
            "2,002.Jay/b.jpg,0,1,1,/b.jpg",
            "3,gone.jpg,0,2,0,/c.jpg",
            "4,../../etc/passwd,0,2,0,/c.jpg",
            "5,002.Jay/b.jpg,0,9,0,/c.jpg",
        ],
    )
    for name, seed in (("001.Albatross/a_01.jpg", 1), ("002.Jay/b.jpg", 2)):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(picture(seed, (16, 16), "JPEG"))
    rows = ingest(MetadataCsvReader(str(data)), tmp_path / "run")
    good = [(row["key"], row["split"], row["group_name"]) for row in rows if row["status"] == "ok"]
    assert good == [("001.Albatross/a_01.jpg", "train", "waterbird|water"), ("002.Jay/b.jpg", "val", "landbird|water")]
    found = [(row["key"], row["reason"]) for row in rows if row["status"] == "reject"]
    assert found == [("gone.jpg", "missing_image"), ("../../etc/passwd", "bad_key"), ("002.Jay/b.jpg", "unknown_split")]


def test_metadata_without_a_column_names_it(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("img_filename,y\na.jpg,0\n")
    with pytest.raises(SourceError, match=r"lacks \['place', 'split'\]"):
        MetadataCsvReader(str(tmp_path)).listing()


def test_image_folder(tmp_path: Path) -> None:
    for name in ("train/landbird/land/1.png", "test/waterbird/water/deep/2.webp", "train/landbird/3.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(form="WEBP" if name.endswith("webp") else "PNG"))
    rows = ingest(ImageFolderReader(str(tmp_path / "data")), tmp_path / "run")
    assert reasons(rows) == {"train/landbird/3.png": "missing_label"}
    assert {row["group_name"] for row in rows if row["status"] == "ok"} == {"landbird|land", "waterbird|water"}


def test_a_changed_image_is_a_new_task_and_an_unchanged_one_is_not_read_again(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a", picture(1)))
    write_tar(tmp_path / "data/train-1.tar", sample("b", picture(2)))
    reader = WebDatasetReader(str(tmp_path / "data"))
    ingest(reader, tmp_path / "run")
    write_tar(tmp_path / "data/train-1.tar", sample("b", picture(3)))
    done = [commit.find(work.task) is not None for work in plan_source(reader, str(tmp_path / "run"), "data", LABELS)]
    assert done == [True, False]


def test_labels_may_be_names_numbers_or_the_datasets_own_spellings() -> None:
    assert [CLASSES.number(label) for label in ("waterbird", "0", "2", "gull")] == [1, 0, None, None]
    assert [CLASSES.number(label) for label in ("²", "١", "0" * 5000, "", "-1")] == [None] * 5
    spelled = Labels(("land", "water"), (("forest", "0"), ("sea",)))
    assert [spelled.number(label) for label in ("sea", "0", "land", "1")] == [1, 0, 0, None]


def test_turned_and_transparent_images_become_plain_png(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (10, 20), "red").save(buffer, format="JPEG", exif=exif)
    write_tar(tmp_path / "data/train-0.tar", sample("turned", buffer.getvalue()))
    (row,) = ingest(WebDatasetReader(str(tmp_path / "data")), tmp_path / "run")
    assert (row["width"], row["height"]) == (20, 10)
    stored = (tmp_path / "run/source" / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["size"]]
    assert stored.startswith(b"\x89PNG")
