"""The life story of one sample: what it was made from, what was measured and decided, who trained on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from fairshards.catalogs.database import connection
from fairshards.catalogs.database.current import WAIT, Say, open_current
from fairshards.catalogs.errors import SampleError
from fairshards.catalogs.questions.story import render

_IDS = "(SELECT sample_id AS id FROM plan UNION SELECT source_id FROM sources UNION SELECT id FROM rejects)"
_SHOWN = 5


@dataclass(frozen=True)
class Event:
    """One step of a story: its name ("planned", "scored", "decided", ...) and what is known of it."""

    name: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class LifeStory:
    """All that the catalog knows of a sample, in the order in which it happened.

    ``kind`` is "source" for a source image, else the plan's kind. Shards are named relative to ``run_dir``.
    """

    sample_id: str
    kind: str
    group_name: str | None
    run_dir: Path
    events: tuple[Event, ...]

    def of(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the facts of the events of this name."""
        return (event.facts for event in self.events if event.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return the story as plain data, e.g. for JSON."""
        events = [{"event": event.name, **event.facts} for event in self.events]
        return {
            "sample_id": self.sample_id,
            "kind": self.kind,
            "group_name": self.group_name,
            "run_dir": str(self.run_dir),
            "events": events,
        }


def life_story(run_dir: str | Path, sample_id_prefix: str, wait: float = WAIT, say: Say | None = None) -> LifeStory:
    """Return the story of the one sample or source image whose id begins with ``sample_id_prefix``.

    Raises:
        SampleError: no id begins so (the nearest are named), or more than one does.
        CatalogError, ManifestError: the catalog can't be opened, or made from the manifests.
    """
    with open_current(run_dir, wait, say=say) as catalog, connection.explained(catalog.path):
        sample = find_id(catalog.con, sample_id_prefix.strip().lower())
        rows = catalog.con.execute(
            "SELECT event, facts FROM life_story WHERE sample_id = $1 ORDER BY step, part, facts", [sample]
        ).fetchall()
        return _story(catalog.run_dir, sample, tuple(Event(name, json.loads(facts)) for name, facts in rows))


def find_id(con: duckdb.DuckDBPyConnection, prefix: str) -> str:
    """Return the one id of a sample, source image or reject that begins with ``prefix``.

    Raises:
        SampleError: there is none, or more than one.
    """
    if not prefix:
        raise SampleError("give a sample's id or its first digits; `fairshards query RUN samples` lists some")
    rows = con.execute(
        f"SELECT id FROM {_IDS} WHERE starts_with(id, $1) ORDER BY id LIMIT {_SHOWN + 1}", [prefix]
    ).fetchall()
    if len(rows) > 1:
        shown = ", ".join(row[0] for row in rows[:_SHOWN]) + (", ..." if len(rows) > _SHOWN else "")
        raise SampleError(f"more than one id begins with {prefix!r}: {shown}; give more digits")
    if not rows:
        raise SampleError(_nothing(con, prefix))
    return str(rows[0][0])


def _nothing(con: duckdb.DuckDBPyConnection, prefix: str) -> str:
    near = con.execute(
        f"SELECT id FROM {_IDS} ORDER BY levenshtein(left(id, length($1)), $1), id LIMIT 3", [prefix]
    ).fetchall()
    if not near:
        return f"no sample's id begins with {prefix!r}: the run has no samples yet"
    names = ", ".join(row[0] for row in near)
    return f"no sample's or source image's id begins with {prefix!r}; the nearest are {names}"


def _story(run_dir: Path, sample: str, events: tuple[Event, ...]) -> LifeStory:
    origin = next((event for event in events if event.name in ("planned", "source")), None)
    facts = origin.facts if origin else {}
    kind = facts.get("kind", "source")
    return LifeStory(sample, kind, facts.get("group_name"), run_dir, events)


__all__ = ["Event", "LifeStory", "find_id", "life_story", "render"]
