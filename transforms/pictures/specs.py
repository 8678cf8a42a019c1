"""What travels to the workers so that they can load a model. Plain values; imports no model library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from fairshards.catalogs.manifests.identity import digest
from fairshards.filters.pictures.preview import PreviewLimits
from fairshards.filters.pictures.spurious_absence import PhraseContrast
from fairshards.filters.scorers.base import Scorer

GENERATE_VERSION = "generate/1"
SCORE_VERSION = "score/3"


class Staged(Protocol):
    """What a worker needs of a stage's models."""

    @property
    def stage_fingerprint(self) -> str:
        """What decides the stage's results."""


class HasHints:
    """A spec of a stage whose workers need what its device, accelerator and memory say."""

    device: str
    accelerator: str | None
    min_ram: str | None

    @property
    def hints(self) -> dict[str, Any]:
        """Beam resource hints."""
        return resource_hints(self.device, self.accelerator, self.min_ram)


def resource_hints(device: str, accelerator: str | None, min_ram: str | None) -> dict[str, Any]:
    """Return Beam resource hints: the accelerator of a model that doesn't run on a CPU, and memory."""
    default = "type:nvidia-tesla-t4;count:1;install-nvidia-driver" if device == "cuda" else None
    hints = {"accelerator": accelerator or default, "min_ram": min_ram}
    return {name: value for name, value in hints.items() if value}


@dataclass(frozen=True)
class PruneSpec:
    """Pruning in flight: at which model call previews are judged, by what limits, and the scorer that judges them.

    Where less than ``pays_from`` of a task's first batch is pruned, the rest of the task isn't judged.
    """

    step: int
    limits: PreviewLimits
    scorer: ScorerSpec
    pays_from: float = 0.0

    @property
    def said(self) -> dict[str, Any]:
        """What decides which samples are finished."""
        pays = {"pays_from": self.pays_from} if self.pays_from else {}
        return {"step": self.step, **self.limits.settings, **pays, "scorer": self.scorer.stage_fingerprint}


@dataclass(frozen=True)
class GeneratorSpec(HasHints):
    """What a worker needs to load the generator. ``fingerprint`` is the model's (weights, scheduler, dtype).

    ``personal`` are the folders of what the model was taught; ``personalised_fingerprint`` has put them into
    ``fingerprint``.
    """

    folder: str
    fingerprint: str
    device: str
    dtype: str
    scheduler: str | None
    batch_size: int
    window: int
    allow_pickle: bool = False
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None
    personal: tuple[str, ...] = ()
    prune: PruneSpec | None = None

    @property
    def stage_fingerprint(self) -> str:
        """What else decides a task's bytes: the stage's version, the batch shape, the trajectory window, pruning."""
        return digest(
            {
                "version": GENERATE_VERSION,
                "model": self.fingerprint,
                "batch": self.batch_size,
                "window": self.window,
                **({"prune": self.prune.said} if self.prune else {}),
            }
        )


@dataclass(frozen=True)
class SegmenterSpec:
    """What a worker needs to load a segmenter: CLIPSeg, or Grounding DINO with the SAM in ``sam``.

    ``threshold`` and ``text_threshold`` are None for the segmenter's own; the rest is of ``MaskSettings``.
    """

    model: str
    fingerprint: str
    sam: str | None = None
    threshold: float | None = None
    text_threshold: float | None = None
    dilate: float = 10.0
    min_share: float = 0.001
    max_share: float = 0.9
    batch_size: int = 8

    @property
    def identity(self) -> dict[str, Any]:
        """What decides a mask; folders are told by their fingerprint."""
        said = asdict(self)
        return {name: value for name, value in said.items() if name not in ("model", "sam")}


@dataclass(frozen=True)
class ScorerSpec(HasHints):
    """What a worker needs to load the CLIP scorer. ``class_prompts[y]`` are the wordings of class y.

    ``contrasts`` tell how phrases that samples must be free of are seen. With ``training``, a finished training's
    folder, its classifier scores pictures too; ``reference_means[y]`` is its mean probability of class y over the
    class's real training pictures. With a ``segmenter`` pictures get silhouettes, of ``objects[y]`` for class y.
    ``scorers`` take scores that filters bring along.
    """

    model: str
    fingerprint: str
    device: str
    batch_size: int
    class_prompts: tuple[tuple[str, ...], ...]
    bias_prompts: tuple[tuple[str, ...], ...]
    class_names: tuple[str, ...]
    bias_names: tuple[str, ...]
    accelerator: str | None = None
    min_ram: str | None = None
    threads: int | None = None
    contrasts: tuple[PhraseContrast, ...] = ()
    training: str | None = None
    training_fingerprint: str = ""
    reference_means: tuple[float, ...] = ()
    segmenter: SegmenterSpec | None = None
    objects: tuple[str, ...] = ()
    allow_pickle: bool = False
    scorers: tuple[Scorer, ...] = ()

    @property
    def _more(self) -> dict[str, Any]:
        """What spurious-free generation and silhouettes add to the fingerprint; nothing where they aren't used."""
        contrasts = {"contrasts": [asdict(one) for one in self.contrasts]} if self.contrasts else {}
        means = [round(mean, 4) for mean in self.reference_means]
        reference = {"training": self.training_fingerprint, "means": means} if self.training else {}
        seen = {"segmenter": self.segmenter.identity, "objects": list(self.objects)} if self.segmenter else {}
        own = {"scorers": [one.settings for one in self.scorers]} if self.scorers else {}
        return {**contrasts, **reference, **seen, **own}

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's scores: the stage's version, the models, the prompts, the batch shape."""
        return digest(
            {
                "version": SCORE_VERSION,
                "model": self.fingerprint,
                "batch": self.batch_size,
                "classes": [list(words) for words in self.class_prompts],
                "bias": [list(words) for words in self.bias_prompts],
                "names": [list(self.class_names), list(self.bias_names)],
                **self._more,
            }
        )


def personalised_fingerprint(base: str, personal: Sequence[str]) -> str:
    """Return the fingerprint of the model ``base`` with what it was taught, each by its own fingerprint.

    The order they are loaded in doesn't count. A model that was taught nothing keeps its own fingerprint.
    """
    return digest({"model": base, "personal": sorted(personal)}) if personal else base
