"""A training cut down to a few steps, with logs, pictures and checkpoints in a folder of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairshards.pocket.networks import export
from fairshards.pocket.scenes import pictures
from fairshards.pocket.training import train_captioner, train_extractor, train_segmenter
from fairshards.pocket.training.loop import Training

TinyTraining = Callable[..., Path]


@pytest.fixture
def train_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyTraining:
    """Call a training in the work folder of a given name; returns the checkpoint that it exported.

    With ``stop``, the training ends after that many steps, as if it had been stopped there.
    """
    monkeypatch.setattr(pictures, "CHUNK", 8)
    for module in (train_captioner, train_segmenter, train_extractor):
        monkeypatch.setattr(module, "LOGS", tmp_path / "logs")
    whole = Training.run

    def train(name: str, training: Callable[..., Any], work: str, stop: int | None = None, **settings: int) -> Path:
        monkeypatch.setattr(export, "checkpoint_path", lambda name: tmp_path / work / "checkpoints" / name)

        def run(self: Training, loss: Any, check: Any = None, until: int | None = None) -> Any:
            return whole(self, loss, None if stop else check, stop)

        monkeypatch.setattr(Training, "run", run)
        training(tmp_path / work, **settings)
        return tmp_path / work / "checkpoints" / name

    return train
