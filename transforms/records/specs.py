"""What travels to the workers that draw and score rows. Plain values; imports no model library."""

from __future__ import annotations

from dataclasses import dataclass

from fairshards.catalogs.manifests.identity import digest
from fairshards.filters.scorers.base import Scorer
from fairshards.transforms.pictures.specs import HasHints

SAMPLE_VERSION, ROW_SCORE_VERSION = "sample-rows/1", "score-rows/2"


@dataclass(frozen=True)
class RowSpec(HasHints):
    """What a worker needs to sample a Bt-GAN. ``fingerprint`` is the model's."""

    model: str
    fingerprint: str
    device: str = "cpu"
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's rows."""
        return digest({"version": SAMPLE_VERSION, "model": self.fingerprint})


@dataclass(frozen=True)
class RowScorerSpec(HasHints):
    """What a worker needs to score rows: the model, and the training rows that they are held against.

    ``shared`` is how many of these have a record that is nobody's (``record_space.told``), which no distance counts.
    ``scorers`` take scores that filters bring along.
    """

    model: str
    fingerprint: str
    train: str
    train_sha256: str
    shared: int = 0
    device: str = "cpu"
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None
    scorers: tuple[Scorer, ...] = ()

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's scores."""
        said = {"version": ROW_SCORE_VERSION, "model": self.fingerprint, "train": self.train_sha256}
        shared = {"shared": self.shared} if self.shared else {}
        own = {"scorers": [one.settings for one in self.scorers]} if self.scorers else {}
        return digest({**said, **shared, **own})
