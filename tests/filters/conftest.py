"""A tiny CLIP model for the scorers' tests, written once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fairshards.filters.scorers.clip_scorer import ClipScorer
from tests.tiny_models import write_tiny_clip


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip folder; read only."""
    return write_tiny_clip(tmp_path_factory.mktemp("tiny") / "clip")


@pytest.fixture(scope="session")
def scorer(clip_folder: Path) -> ClipScorer:
    """A scorer of birds and their backgrounds; batches of 4."""
    return ClipScorer.load(
        clip_folder,
        device="cpu",
        batch_size=4,
        class_names=("landbird", "waterbird"),
        class_prompts=(("a landbird", "a photo of a landbird"), ("a waterbird",)),
        bias_names=("land", "water", "air"),
        bias_prompts=(("on land",), ("on water", "at sea"), ("in the air",)),
    )
