"""Readers: what they read, and what they make of bad input."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalogs import manifest
from transforms import commit
from transforms.source import Labels, ingest_unit, plan_source
from transforms.sources import (
    ImageFolderReader,
    MetadataCsvReader,
    SourceError,
    SourceReader,
    WebDatasetReader,
)

CLASSES, BIAS = Labels(("landbird", "waterbird")), Labels(("land", "water"))


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
    members.append(
        (f"{key}.json", json.dumps({} if background is None else {"background": background}).encode())
    )
    return members


def ingest(reader: SourceReader, run: Path, classes: Labels = CLASSES, bias: Labels = BIAS) -> list[dict]:
    rows = []
    for work in plan_source(reader, str(run), "data", classes, bias):
        record = ingest_unit(work, reader, classes, bias)
        rows += manifest.read_rows(run / record.manifest)[1]
    return rows


def reasons(rows: list[dict]) -> dict[str, str]:
    return {row["key"]: row["reason"] for row in rows if row["status"] == "reject"}


def test_webdataset_samples_are_stored_byte_for_byte(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "data/train-0.tar", sample("a", picture(1)) + sample("sub/b", picture(2), "1", "water")
    )
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
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


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


def test_no_shard_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no shard found .*train-\*\.tar.*source\.path"):
        WebDatasetReader(str(tmp_path)).units()


def waterbirds(folder: Path, rows: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text(
        "img_id,img_filename,y,split,place,place_filename\n" + "\n".join(rows) + "\n"
    )
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
    assert good == [
        ("001.Albatross/a_01.jpg", "train", "waterbird|water"),
        ("002.Jay/b.jpg", "val", "landbird|water"),
    ]
    found = [(row["key"], row["reason"]) for row in rows if row["status"] == "reject"]
    assert found == [
        ("gone.jpg", "missing_image"),
        ("../../etc/passwd", "bad_key"),
        ("002.Jay/b.jpg", "unknown_split"),
    ]


def test_metadata_without_a_column_names_it(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("img_filename,y\na.jpg,0\n")
    with pytest.raises(SourceError, match=r"lacks \['place', 'split'\]"):
        MetadataCsvReader(str(tmp_path)).units()


def test_image_folder(tmp_path: Path) -> None:
    for name in ("train/landbird/land/1.png", "test/waterbird/water/deep/2.webp", "train/landbird/3.png"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(form="WEBP" if name.endswith("webp") else "PNG"))
    rows = ingest(ImageFolderReader(str(tmp_path / "data")), tmp_path / "run")
    assert reasons(rows) == {"train/landbird/3.png": "missing_label"}
    assert {row["group_name"] for row in rows if row["status"] == "ok"} == {
        "landbird|land",
        "waterbird|water",
    }


def test_a_changed_image_is_a_new_task_and_an_unchanged_one_is_not_read_again(tmp_path: Path) -> None:
    write_tar(tmp_path / "data/train-0.tar", sample("a", picture(1)))
    write_tar(tmp_path / "data/train-1.tar", sample("b", picture(2)))
    reader = WebDatasetReader(str(tmp_path / "data"))
    ingest(reader, tmp_path / "run")
    write_tar(tmp_path / "data/train-1.tar", sample("b", picture(3)))
    done = [
        commit.find(work.task) is not None
        for work in plan_source(reader, str(tmp_path / "run"), "data", CLASSES, BIAS)
    ]
    assert done == [True, False]


def test_labels_may_be_names_numbers_or_the_datasets_own_spellings() -> None:
    assert [CLASSES.number(label) for label in ("waterbird", "0", "2", "gull")] == [1, 0, None, None]
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
    stored = (tmp_path / "run/source" / row["shard"]).read_bytes()[
        row["offset"] : row["offset"] + row["size"]
    ]
    assert stored.startswith(b"\x89PNG")
