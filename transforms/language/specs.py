"""What travels to the workers so that they can describe pictures and take phrases out of captions. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fairshards.catalogs.manifests.identity import digest, noise_seed
from fairshards.generators.language.caption_text import LONGEST
from fairshards.generators.language.endpoint import EndpointSettings
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.phrases.prompt import PLAIN_VERSION
from fairshards.generators.phrases.prompt import VERSION as PROMPT_VERSION
from fairshards.transforms.pictures.specs import resource_hints

CAPTION_VERSION = "caption/1"
EXTRACT_VERSION = "extract/1"


@dataclass(frozen=True)
class TextModelSpec:
    """A text model: in ``folder`` on the workers, or behind ``endpoint``; one of the two.

    Attributes:
        name: What the catalog calls it.
        fingerprint: Of the folder's files and the library versions; "" for an endpoint.
        decoding, seed: How it decodes; the seed counts where it samples.
        folder, device, dtype, batch_size, allow_pickle, threads: Of a local model; device and dtype are resolved.
            For a vision endpoint ``batch_size`` is how many pictures are under way.
        chats: Whether it follows a conversation; a sequence-to-sequence model reads a text alone.
        constrained: The library that holds a local model's answers to their schemas, with its version; "": none.
        endpoint: Where it is served, and how it is asked.
        cache: The folder of answers that runs share; None: none are kept.

    Raises:
        ValueError: neither a folder nor an endpoint, or both.
    """

    name: str
    fingerprint: str = ""
    decoding: Decoding = field(default_factory=Decoding)
    seed: int = 0
    folder: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    batch_size: int = 8
    allow_pickle: bool = False
    threads: int | None = None
    chats: bool = True
    constrained: str = ""
    endpoint: EndpointSettings | None = None
    cache: str | None = None
    accelerator: str | None = None
    min_ram: str | None = None

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.endpoint is None):
            raise ValueError(
                f"text model {self.name!r} needs a folder or an endpoint, one of the two; "
                f"got folder {self.folder!r} and endpoint {self.endpoint!r}"
            )

    @property
    def worker_device(self) -> str:
        """Where a worker of this stage computes: an endpoint needs no accelerator here."""
        return self.device if self.folder else "cpu"

    @property
    def hints(self) -> dict[str, Any]:
        """Beam resource hints of its workers."""
        return resource_hints(self.worker_device, self.accelerator, self.min_ram)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the model's answers: weights or name, decoding, and the shape of local batches."""
        decoding = {**vars(self.decoding), "seed": self.seed if self.decoding.temperature else None}
        if self.endpoint:
            return {**self.endpoint.identity, **decoding}
        local = {"device": self.device, "dtype": self.dtype, "batch": self.batch_size}
        if self.constrained:
            local["constrained"] = self.constrained
        return {"model": self.fingerprint, **local, **decoding}

    def seed_of(self, source_id: str) -> int:
        """Return the seed of a source image's own noise; always 0 for a model that doesn't sample."""
        return noise_seed({"source_id": source_id, "seed": self.seed}) if self.decoding.temperature else 0


@dataclass(frozen=True)
class CaptionerSpec:
    """What a worker needs to describe pictures.

    Attributes:
        model: The captioner.
        instruction: What it is told or goes on from; None: the default of its kind.
        longest: Characters of a caption that are kept.
        splits: Which splits are described; ASPIRE describes training images.
    """

    model: TextModelSpec
    instruction: str | None = None
    longest: int = LONGEST
    splits: tuple[str, ...] = ("train",)

    @property
    def hints(self) -> dict[str, Any]:
        """The model's."""
        return self.model.hints

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's captions, beside its pictures."""
        settings = {"instruction": self.instruction, "longest": self.longest}
        return digest({"version": CAPTION_VERSION, "model": self.model.identity, "name": self.model.name, **settings})


@dataclass(frozen=True)
class ExtractorSpec:
    """What a worker needs to take phrases out of captions.

    Attributes:
        model: The language model.
        labels: ``labels[y]`` are the wordings of class y; the first is what the model is told.
        attempts: How often a model that chats is asked at most for what is missing, the first question included.
    """

    model: TextModelSpec
    labels: tuple[tuple[str, ...], ...]
    attempts: int = 3

    @property
    def hints(self) -> dict[str, Any]:
        """The model's."""
        return self.model.hints

    @property
    def stage_fingerprint(self) -> str:
        """What decides a task's phrases, beside its captions."""
        settings = {"labels": [list(words) for words in self.labels], "attempts": self.attempts}
        version = [EXTRACT_VERSION, PROMPT_VERSION if self.model.chats else PLAIN_VERSION]
        return digest({"version": version, "model": self.model.identity, "name": self.model.name, **settings})
