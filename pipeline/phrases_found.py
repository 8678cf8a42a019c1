"""What captions said: each image's phrases, merged into groups, as ranking and edit planning need them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generators.phrases import group_names, group_phrases
from pipeline.association import CaptionedImage, Phrase

Row = Mapping[str, Any]
KINDS = ("foreground", "background")


@dataclass(frozen=True)
class Found:
    """The phrases of captioned images.

    Attributes:
        images: One a captioned image, in the order of the index, those without any phrase included.
        alternatives: The background that the language model offers instead, by source id.
    """

    images: tuple[CaptionedImage, ...]
    alternatives: Mapping[str, str]


def phrases_found(
    index: Sequence[Row], captions: Iterable[Row], phrases: Iterable[Row], right: Mapping[str, bool]
) -> Found:
    """Join captions and phrases with the index; ``right`` tells which images the reference classifier gets right.

    Images whose caption was rejected are left out. Groups are made over all classes, so that one phrase has one name.
    """
    captioned = {row["source_id"] for row in captions if row["status"] == "ok"}
    own: dict[str, list[Row]] = defaultdict(list)
    for row in phrases:
        if row["status"] == "ok":
            own[row["source_id"]].append(row)
    counts = Counter(row["phrase"] for rows in own.values() for row in rows if row["kind"] in KINDS)
    groups = group_names(group_phrases(counts))
    images = tuple(
        CaptionedImage(
            row["sample_id"], row["y"],
            tuple(Phrase(said["phrase"], groups[said["phrase"]], said["kind"])
                  for said in own[row["sample_id"]] if said["kind"] in KINDS),
            right.get(row["sample_id"], False),
        )
        for row in index if row["sample_id"] in captioned
    )  # fmt: skip
    offered = {name: said["phrase"] for name, rows in own.items() for said in rows if said["kind"] == "alternative"}
    return Found(images, offered)
