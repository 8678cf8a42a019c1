"""A tiny pipeline taught from coloured shapes: quick settings, pictures, and what a test looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairshards.generators.checkpoints.loading import load_pipeline
from fairshards.trainers.core.index import Sample, read_index
from fairshards.trainers.personal.personalise import personalise
from fairshards.trainers.personal.record import Personalised
from fairshards.trainers.personal.settings import TEXTUAL_INVERSION, Concept, PersonaliseSettings
from tests.trainers.shapes import shape_pictures, write_index

CROSS = Concept("cross on red", "<cross>", "cross")
WORDS = Concept("cross on red", "odd cross", "cross")
FINGERPRINT = "f" * 64
METHODS = ("textual-inversion", "dreambooth-lora")


def concept(method: str) -> Concept:
    """Return the concept with a token that the method takes."""
    return CROSS if method == TEXTUAL_INVERSION else WORDS


def quick(method: str = TEXTUAL_INVERSION, **changes: Any) -> PersonaliseSettings:
    """Settings of a personalisation that takes a fraction of a second on the CPU."""
    chosen: dict[str, Any] = {
        "steps": 6,
        "lr": 1e-2,
        "batch_size": 2,
        "resolution": 32,
        "templates": ("a {}", "the {}"),
        "save_every": 2,
        "device": "cpu",
        "scale_lr": False,
        **changes,
    }
    return PersonaliseSettings(method, **chosen)


def few_pictures(folder: Path, count: int = 3) -> tuple[Sample, ...]:
    """Write ``count`` crosses on red into a tar and return their samples."""
    return read_index(write_index(folder, shape_pictures({"train": {(1, 0): count}})), g=0).samples


def teach_cross(
    run_dir: Path, model: Path, pictures: Sequence[Sample], settings: PersonaliseSettings, **more: Any
) -> Personalised:
    """Personalise with the method's concept."""
    return personalise(run_dir, model, FINGERPRINT, settings, concept(settings.method), pictures, **more)


def load(folder: Path) -> Any:
    """Return the pipeline in float32 on the CPU."""
    return load_pipeline(folder, "cpu", "float32", None, allow_pickle=False)
