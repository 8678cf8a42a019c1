"""Contact sheets: thumbnails out of the shards, small enough that the whole report stays under 5 MB."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fairshards.generators.images import BadImage, decode_image
from fairshards.pipeline.report.reader import Reader, Row
from fairshards.pipeline.report.scores import decisive, meanings, rank, score_text, short_name

SIDE = 128
"""Thumbnails have at most this many pixels a side."""
MOST_BYTES = 8_000
QUALITIES = (88, 75, 60, 40, 20)
PER_SHEET, REAL_PER_SHEET = 12, 6
MOST_KEPT, MOST_REAL, MOST_REJECTED = 160, 80, 150
"""At most so many pictures over all sheets: with 8 kB each, 4.2 MB as base64."""


@dataclass(frozen=True)
class Fact:
    """A score under a thumbnail; ``decisive`` where the sheet's filter decided by it."""

    name: str
    text: str
    decisive: bool


@dataclass(frozen=True)
class Picture:
    """A thumbnail as a data URI ("" where the shard has no readable picture) and what stands under it."""

    uri: str
    sample_id: str
    alt: str
    facts: tuple[Fact, ...]
    wanted: str = ""
    saw: str = ""


@dataclass(frozen=True)
class Sheet:
    """One contact sheet: of a group (``title``), or of a filter's reason with how many there are in all."""

    title: str
    pictures: tuple[Picture, ...]
    real: tuple[Picture, ...] = ()
    n: int = 0
    filter: str = ""
    meaning: str = ""


def group_sheets(reader: Reader, root: Path, names: Sequence[str], filters: Sequence[str] = ()) -> list[Sheet]:
    """Return a sheet per group: the first kept samples by replicate number, and the first real images.

    ``filters`` are those of the curation, which say how their scores are shown.
    """
    if not names:
        return []
    kept = reader.rows("kept_pictures", per_group=_share(PER_SHEET, MOST_KEPT, len(names)))
    real = reader.rows("real_pictures", per_group=_share(REAL_PER_SHEET, MOST_REAL, len(names)))
    kind = "kept" if reader.curation else "generated"
    return [
        Sheet(
            name,
            tuple(_pictures(root, (row for row in kept if row["group_name"] == name), kind, filters)),
            tuple(_pictures(root, (row for row in real if row["group_name"] == name), "real")),
        )
        for name in names[:MOST_REAL]
    ]


def rejected_sheets(reader: Reader, root: Path) -> list[Sheet]:
    """Return a sheet per filter and reason, with what the judge saw; samples over the quota are not among them."""
    by_reason: dict[tuple[str, str], list[Row]] = {}
    for row in reader.rows("rejected_pictures", per_reason=PER_SHEET):
        by_reason.setdefault((row["filter"], row["reason"] or ""), []).append(row)
    most = _share(PER_SHEET, MOST_REJECTED, len(by_reason))
    return [
        Sheet(
            reason,
            tuple(_pictures(root, rows[:most], "rejected", [name])),
            (),
            rows[0]["n"],
            name,
            meanings([name]).get(reason, ""),
        )
        for (name, reason), rows in list(by_reason.items())[:MOST_REJECTED]
    ]


def thumbnail(data: bytes) -> str:
    """Return an encoded picture as a data URI of at most 128x128 pixels and some 8 kB.

    Raises:
        BadImage: the bytes are no picture.
    """
    image = decode_image(data)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    small = _encode(image, "PNG", optimize=True)
    if len(small) <= MOST_BYTES:
        return _uri("png", small)
    for quality in QUALITIES:
        small = _encode(image, "JPEG", quality=quality, optimize=True)
        if len(small) <= MOST_BYTES:
            break
    return _uri("jpeg", small)


def _pictures(
    root: Path, rows: Iterator[Row] | Sequence[Row], kind: str, filters: Sequence[str] = ()
) -> Iterator[Picture]:
    for row in rows:
        yield Picture(
            picture_uri(root, row),
            row["sample_id"],
            f"{kind}: {row['prompt'] or row['group_name']}",
            tuple(_facts(row, filters)),
            row["group_name"],
            _saw(row),
        )


def picture_uri(root: Path, row: Mapping[str, Any]) -> str:
    """Return the picture's data URI; a shard that is gone or damaged is `verify`'s business, not the report's."""
    try:
        with open(root / row["shard"], "rb") as file:
            file.seek(row["offset"])
            return thumbnail(file.read(row["size"]))
    except (OSError, BadImage):
        return ""


def _facts(row: Mapping[str, Any], filters: Sequence[str]) -> Iterator[Fact]:
    values = [(score["score"], score["value"]) for score in row.get("scores") or ()]
    if row.get("trajectory_variance") is not None:
        values.append(("trajectory_variance", row["trajectory_variance"]))
    for score, value in sorted(values, key=lambda entry: rank(entry[0], filters)):
        yield Fact(short_name(score, filters), score_text(score, value), decisive(row.get("filter", ""), score))


def _saw(row: Mapping[str, Any]) -> str:
    """Return the judge's answers as a group's name, or "" where it gave none."""
    labels = {score["score"]: score["label"] for score in row.get("scores") or () if score["label"]}
    known = [labels[name] for name in ("judge_class", "judge_bias") if name in labels]
    return "|".join(known or sorted(labels.values()))


def _share(most: int, in_all: int, sheets: int) -> int:
    return max(1, min(most, in_all // max(1, sheets)))


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
