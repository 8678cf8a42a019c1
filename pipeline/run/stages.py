"""The stages of a run in their order."""

from __future__ import annotations

STAGES = ("source", "discover", "generate", "curate", "train", "report")


def reaches(until: str, stage: str) -> bool:
    """Tell whether a run that stops after ``until`` does ``stage``."""
    return STAGES.index(until) >= STAGES.index(stage)
