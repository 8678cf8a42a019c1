"""What discovery found, for the report: per class the ranked phrases, each with example edits before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.pipeline.report.pictures import picture_uri
from fairshards.pipeline.report.reader import Reader, Row

MOST = 6
"""Phrases shown a class."""


@dataclass(frozen=True)
class Example:
    """One edit: the pictures before and after as data URIs, and what the reference classifier said."""

    edit_id: str
    before: str
    after: str
    hit: bool
    said: str
    what: str


@dataclass(frozen=True)
class Ranked:
    """One ranked phrase with its figures (the columns of ``spurious_features``) and examples."""

    facts: Mapping[str, Any]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class RankedClass:
    """The ranked phrases of one class, and the names of those that are reported."""

    name: str
    phrases: tuple[Ranked, ...]

    @property
    def reported(self) -> list[str]:
        """The phrases that are reported as spurious."""
        return [one.facts["phrase"] for one in self.phrases if one.facts["spurious"]]


def ranked_classes(reader: Reader, root: Path) -> list[RankedClass]:
    """Return the ranked phrases class by class; empty where nothing was discovered."""
    edits: dict[tuple[int, str], list[Row]] = {}
    for row in reader.rows("ranked_edits", most=MOST):
        edits.setdefault((row["y"], row["phrase"]), []).append(row)
    found: dict[str, list[Ranked]] = {}
    for row in reader.rows("ranked_phrases", most=MOST):
        examples = tuple(_example(root, edit) for edit in edits.get((row["y"], row["phrase"]), ()))
        found.setdefault(row["class_name"], []).append(Ranked(row, examples))
    return [RankedClass(name, tuple(phrases)) for name, phrases in found.items()]


def _example(root: Path, row: Row) -> Example:
    source = {name: row[f"source_{name}"] for name in ("shard", "offset", "size")}
    before, after = f"{100 * row['probability_before']:.0f}%", f"{100 * row['probability_after']:.0f}%"
    what = f"{row['phrase']} becomes {row['replacement']}" if row["replacement"] else f"{row['phrase']} removed"
    return Example(
        row["sample_id"],
        picture_uri(root, source) if source["shard"] else "",
        picture_uri(root, row),
        bool(row["hit"]),
        f"{before} → {after}",
        what,
    )
