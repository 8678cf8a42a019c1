"""What captions said: each image's phrases, merged into groups, as ranking and edit planning need them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.generators.phrases.phrases import PhraseGroup, group_names, group_phrases
from fairshards.generators.phrases.sentences import load_embedder
from fairshards.pipeline.discovery.association import CaptionedImage, Phrase
from fairshards.pipeline.pictures.discovery_models import MergeSpec

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
    index: Sequence[Row],
    captions: Iterable[Row],
    phrases: Iterable[Row],
    right: Mapping[str, bool],
    merge: MergeSpec | None = None,
) -> Found:
    """Join captions and phrases with the index; ``right`` tells which images the reference classifier gets right.

    Images whose caption was rejected are left out. Groups are made over all classes, so that one phrase has one name.

    Raises:
        ModelFilesError: what ``merge`` names can't be loaded.
    """
    captioned = {row["source_id"] for row in captions if row["status"] == "ok"}
    own: dict[str, list[Row]] = defaultdict(list)
    for row in phrases:
        if row["status"] == "ok":
            own[row["source_id"]].append(row)
    counts = Counter(row["phrase"] for rows in own.values() for row in rows if row["kind"] in KINDS)
    groups = group_names(_merged(counts, merge))
    images = tuple(
        CaptionedImage(
            row["sample_id"],
            row["y"],
            tuple(
                Phrase(said["phrase"], groups[said["phrase"]], said["kind"])
                for said in own[row["sample_id"]]
                if said["kind"] in KINDS
            ),
            right.get(row["sample_id"], False),
        )
        for row in index
        if row["sample_id"] in captioned
    )
    offered = {name: said["phrase"] for name, rows in own.items() for said in rows if said["kind"] == "alternative"}
    return Found(images, offered)


def _merged(counts: Mapping[str, int], merge: MergeSpec | None) -> list[PhraseGroup]:
    if merge is None or not counts:
        return group_phrases(counts)
    embed = load_embedder(Path(merge.folder), merge.device)
    return group_phrases(counts, embed=embed, embedding_threshold=merge.threshold)
