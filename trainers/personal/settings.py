"""What decides a personalisation (docs/methods.md#textual-inversion), as frozen dataclasses. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fairshards.trainers.classifiers.settings import PRECISIONS
from fairshards.trainers.core.errors import TrainerError, check_one_of

TEXTUAL_INVERSION, DREAMBOOTH_LORA = "textual-inversion", "dreambooth-lora"
PERSONALISE_METHODS = (TEXTUAL_INVERSION, DREAMBOOTH_LORA)
TOKEN = re.compile(r"<[a-z0-9][a-z0-9_-]*>")

OBJECT_TEMPLATES = (
    "a photo of a {}",
    "one photo of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a photo of my {}",
    "a clear photo of a {}",
    "a sharp photo of the {}",
    "a bright photo of a {}",
    "a bright photo of the {}",
    "a dim photo of a {}",
    "a dark photo of the {}",
    "a plain photo of a {}",
    "a fine photo of a {}",
    "a fine photo of the {}",
    "a photo of a clean {}",
    "a photo of a small {}",
    "a photo of a large {}",
    "a photo of a fine {}",
    "a photo of a strange {}",
    "a close-up photo of a {}",
    "a close-up of the {}",
    "a cropped photo of a {}",
    "a cropped photo of the {}",
    "a blurred photo of a {}",
    "a snapshot of a {}",
    "a picture of a {}",
    "a rendering of a {}",
)
"""27 sentences in the spirit of textual inversion's object templates. A small text encoder needs those it knows."""

# Settings that change how much memory a personalisation takes or where it can go on, never what it gives.
_COST = ("gradient_checkpointing", "save_every")
_WHOLE = ("steps", "batch_size", "resolution", "lora_rank", "save_every")
_TEXTUAL_INVERSION_ONLY = ("init_words", "templates")
_LORA_ONLY = ("lora_prompt", "lora_rank", "lora_alpha", "lora_targets")


@dataclass(frozen=True)
class Concept:
    """What is taught: its ``name``, how prompts will say it (``token``), and the common noun for it.

    Textual inversion teaches a new word, ``<waterbird>``; DreamBooth words that the tokenizer knows, ``sks bird``.
    """

    name: str
    token: str
    class_word: str

    def __post_init__(self) -> None:
        for field in ("name", "token", "class_word"):
            if not getattr(self, field).strip():
                raise TrainerError(f"a concept's {field} is empty; a concept has a name, a token and a class word")


@dataclass(frozen=True)
class PersonaliseSettings:
    """One personalisation; the defaults are ASPIRE's (Stable Diffusion 1.4, DA-Fusion's textual inversion).

    ``method``: "textual-inversion" trains the embedding of one new token, "dreambooth-lora" low-rank additions to
    the U-Net's attention. AdamW at a constant rate: ``lr``, with ``scale_lr`` times ``batch_size`` (one device).
    ``resolution``: pixels a side; pictures are resized without a crop. ``flip``: chance of a mirrored picture.
    ``init_words``: the new embedding starts as the mean of theirs; None: of the concept's class word.
    ``templates`` and ``lora_prompt`` hold one ``{}`` for the token. ``lora_alpha`` None is the rank.
    ``gradient_checkpointing`` computes the U-Net twice to save memory; a checkpoint of the training is written
    every ``save_every`` steps. ``device`` is "auto" or a torch device; ``precision`` "auto" means bfloat16
    autocast on CUDA where it is supported and float32 elsewhere; what is trained is always float32.
    """

    method: str = TEXTUAL_INVERSION
    steps: int = 1000
    lr: float = 5e-4
    scale_lr: bool = True
    batch_size: int = 4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    eps: float = 1e-8
    resolution: int = 512
    flip: float = 0.5
    init_words: str | None = "the"
    templates: tuple[str, ...] = OBJECT_TEMPLATES
    lora_prompt: str = "a photo of a {}"
    lora_rank: int = 4
    lora_alpha: float | None = None
    lora_targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    gradient_checkpointing: bool = True
    save_every: int = 100

    def __post_init__(self) -> None:
        check_one_of("method", self.method, PERSONALISE_METHODS)
        check_one_of("precision", self.precision, PRECISIONS)
        self._check_numbers()
        self._check_words()

    @property
    def rate(self) -> float:
        """The learning rate of a step: ``lr``, scaled by the batch where ``scale_lr`` says so."""
        return self.lr * self.batch_size if self.scale_lr else self.lr

    def prompts(self, concept: Concept) -> tuple[str, ...]:
        """Return the sentences that the pictures are trained with."""
        templates = self.templates if self.method == TEXTUAL_INVERSION else (self.lora_prompt,)
        return tuple(template.format(concept.token) for template in templates)

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the result: none of cost, and none of the other method."""
        unused = _LORA_ONLY if self.method == TEXTUAL_INVERSION else _TEXTUAL_INVERSION_ONLY
        return {name: value for name, value in asdict(self).items() if name not in {*_COST, *unused}}

    def _check_numbers(self) -> None:
        for name in (*_WHOLE, "lr", "eps"):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainerError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in _WHOLE:
            if not isinstance(getattr(self, name), int):
                raise TrainerError(f"{name} is {getattr(self, name)}; it must be a whole number")
        if self.lora_alpha is not None and not self.lora_alpha > 0:
            raise TrainerError(f"lora_alpha is {self.lora_alpha}; it must be above 0, or None for the rank")
        if not self.weight_decay >= 0:
            raise TrainerError(f"weight_decay is {self.weight_decay}; it must be 0 or more")
        if not 0 <= self.flip <= 1:
            raise TrainerError(f"flip is {self.flip}; it is a chance, so it must be from 0 to 1")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise TrainerError(f"betas are {self.betas}; give two numbers from 0 to below 1, as AdamW takes")

    def _check_words(self) -> None:
        for name in ("templates", "lora_targets"):
            if isinstance(getattr(self, name), str):
                raise TrainerError(f"{name} is one text, {getattr(self, name)!r}; give a tuple of texts")
        if not self.templates:
            raise TrainerError("templates is empty; give at least one sentence, such as 'a photo of a {}'")
        for template in (*self.templates, self.lora_prompt):
            if template.count("{}") != 1 or template.count("{") + template.count("}") != 2:
                raise TrainerError(f"template {template!r} must hold {{}} once, for the token, and no other brace")
        if self.init_words is not None and not self.init_words.strip():
            raise TrainerError("init_words is empty; name known words, or give None for the concept's class word")
        if not self.lora_targets:
            raise TrainerError("lora_targets is empty; name the U-Net's layers to add to, such as 'to_q'")


def check_concept(concept: Concept, settings: PersonaliseSettings) -> None:
    """Check that the method can teach the concept's token.

    Raises:
        TrainerError: textual inversion got no word in angle brackets, or DreamBooth got one.
    """
    if settings.method == TEXTUAL_INVERSION and not TOKEN.fullmatch(concept.token):
        raise TrainerError(
            f"token {concept.token!r} can't be a new word for textual inversion; give lower-case "
            "letters, digits, - or _ in angle brackets, such as '<waterbird>'"
        )
    if settings.method == DREAMBOOTH_LORA and re.search("[<>]", concept.token):
        raise TrainerError(
            f"token {concept.token!r} is a new word, but {DREAMBOOTH_LORA} adds none; give words that "
            "the tokenizer knows, such as 'sks waterbird'"
        )


def personalise_settings_from(values: Mapping[str, Any]) -> PersonaliseSettings:
    """Return the settings that ``dataclasses.asdict`` wrote, be it through JSON."""
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return PersonaliseSettings(**{**values, **lists})
