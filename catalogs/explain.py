"""The life story of one sample: what it was made from, what was measured and decided, who trained on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console


@dataclass(frozen=True)
class LifeStory:
    sample_id: str
    kind: str  # "source" or the plan's kind
    events: list[dict[str, Any]] = field(default_factory=list)


def life_story(run_dir: str | Path, sample_id_prefix: str) -> LifeStory:
    """Raises SampleError (ambiguous or unknown, with the nearest ids), CatalogError."""
    raise NotImplementedError


def render(story: LifeStory, console: Console) -> None:
    raise NotImplementedError
