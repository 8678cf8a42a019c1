"""Raw scores of generated pictures: CLIP alignment, the zero-shot group judge, grey-scale difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from fairshards.catalogs.manifests.identity import UNKNOWN_BIAS
from fairshards.filters.pictures import clip_alignment, grey_scale, group_judge, spurious_absence
from fairshards.filters.pictures.spurious_absence import PhraseContrast
from fairshards.filters.scorers.clip_model import ClipModel, Embedding, Scale
from fairshards.generators.images import BadImage, decode_image

if TYPE_CHECKING:
    from PIL import Image

CLIP = Scale()
SCORES = (clip_alignment.SCORE, group_judge.CLASS_SCORE, group_judge.BIAS_SCORE, grey_scale.SCORE)


@dataclass(frozen=True)
class ScoreRequest:
    """What a picture was meant to show: its prompt, class number ``y``, bias value ``b`` (-1: unknown).

    ``spurious`` names the phrases that it must not show.
    """

    sample_id: str
    prompt: str
    y: int
    b: int
    spurious: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoreRow:
    """One score of one sample, as the manifest stores it.

    ``value`` is None for a reject. ``label`` is the judge's answer, where the score has one. ``status`` is "ok" or
    "reject"; a reject carries a ``reason`` ("unreadable_image", "not_finite") and a ``detail``.
    """

    sample_id: str
    score: str
    value: float | None
    label: str | None = None
    status: Literal["ok", "reject"] = "ok"
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Answers:
    """The judge's possible answers to one question: names, and their (n, d) text embeddings."""

    names: tuple[str, ...]
    embeddings: Embedding
    scale: Scale = CLIP

    def judge(self, image: Embedding, intended: int) -> tuple[float, str]:
        """Return the probability of the intended answer and the name of the likeliest one.

        It is the softmax over all answers; of a model that was trained with a sigmoid (SigLIP), which says of every
        answer alone whether it holds, the sigmoid.

        Raises:
            IndexError: there is no answer of that number.
        """
        logits = self._logits(image)
        likeliest = self.names[int(logits.argmax())]
        if self.scale.bias is None:
            return _softmax(logits, intended), likeliest
        return (1 + math.tanh((float(logits[intended]) + self.scale.bias) / 2)) / 2, likeliest  # the sigmoid

    def prefers(self, image: Embedding, intended: int) -> float:
        """Return the share of the intended answer where one of them must hold: the softmax, of every model."""
        return _softmax(self._logits(image), intended)

    def _logits(self, image: Embedding) -> npt.NDArray[np.float64]:
        logits: npt.NDArray[np.float64] = self.scale.factor * (
            self.embeddings.astype(np.float64) @ image.astype(np.float64)
        )
        return logits


def _softmax(logits: npt.NDArray[np.float64], intended: int) -> float:
    weights = np.exp(logits - logits.max())
    return float(weights[intended] / weights.sum())


class ClipScorer:
    """Scores pictures against their prompts and their intended groups.

    Score rows of a sample, always in this order (``SCORES``): ``clip_alignment`` (cosine with the prompt),
    ``judge_class`` and ``judge_bias`` (probability of the intended value; the label is the likeliest one), and
    ``grey_scale``. None is optional, so that a filter that is added later finds its score; but a sample whose bias
    value is unknown (b = -1) has no ``judge_bias``. One that must be free of phrases has ``spurious_presence`` after
    them: the probability of the likeliest of these, by each one's contrast.
    """

    def __init__(
        self, clip: ClipModel, classes: Answers, biases: Answers, contrasts: Mapping[str, Answers] | None = None
    ) -> None:
        self.clip = clip
        self.classes = classes
        self.biases = biases
        self.contrasts = contrasts or {}

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        class_prompts: Sequence[Sequence[str]],
        bias_prompts: Sequence[Sequence[str]],
        class_names: Sequence[str],
        bias_names: Sequence[str],
        device: str = "auto",
        batch_size: int = 32,
        allow_pickle: bool = False,
        contrasts: Sequence[PhraseContrast] = (),
    ) -> Self:
        """Load the CLIP model and embed the judge's prompts; ``class_prompts[y]`` are the wordings of class y.

        Raises:
            ModelFilesError: see ``ClipModel.load``.
            ValueError: names and prompts differ in number, or a value has no prompt.
        """
        clip = ClipModel.load(model, device=device, batch_size=batch_size, allow_pickle=allow_pickle)
        classes, biases = _answers(clip, class_names, class_prompts), _answers(clip, bias_names, bias_prompts)
        asked = {one.phrase: _answers(clip, (one.phrase, ""), (one.present, one.absent)) for one in contrasts}
        return cls(clip, classes, biases, asked)

    def score(
        self, images: Sequence[bytes | npt.NDArray[np.uint8] | Image.Image], rows: Sequence[ScoreRequest]
    ) -> list[list[ScoreRow]]:
        """Return the score rows of each picture, in order; the same list always gives the same numbers.

        Args:
            images: Encoded pictures, (height, width, 3) uint8 arrays, or PIL pictures.
            rows: What each of them was meant to show.

        Raises:
            ValueError: ``images`` and ``rows`` differ in number.
        """
        return self.scored(images, rows)[0]

    def scored(
        self, images: Sequence[bytes | npt.NDArray[np.uint8] | Image.Image], rows: Sequence[ScoreRequest]
    ) -> tuple[list[list[ScoreRow]], dict[str, Embedding]]:
        """Return what ``score`` returns, and the embedding (d,) of every picture that could be read, by sample id."""
        opened = [_open(image) for image, _ in zip(images, rows, strict=True)]
        good = [index for index, image in enumerate(opened) if not isinstance(image, BadImage)]
        made = dict(zip(good, self.clip.embed_images([opened[index] for index in good]), strict=True))
        found = [
            list(self._score_rows(image, made[index], row)) if index in made else _unreadable(image, row)
            for index, (image, row) in enumerate(zip(opened, rows, strict=True))
        ]
        return found, {rows[index].sample_id: embedding for index, embedding in made.items()}

    def _score_rows(self, image: Image.Image, embedding: Embedding, row: ScoreRequest) -> Iterator[ScoreRow]:
        cosine = float(np.dot(self.clip.embed_text(row.prompt).astype(np.float64), embedding.astype(np.float64)))
        yield _checked(row.sample_id, clip_alignment.SCORE, cosine)
        yield _checked(row.sample_id, group_judge.CLASS_SCORE, *self.classes.judge(embedding, row.y))
        if row.b != UNKNOWN_BIAS:
            yield _checked(row.sample_id, group_judge.BIAS_SCORE, *self.biases.judge(embedding, row.b))
        yield _checked(row.sample_id, grey_scale.SCORE, grey_scale.grey_difference(np.asarray(image)))
        if row.spurious:
            yield self._presence(embedding, row)

    def _presence(self, embedding: Embedding, row: ScoreRequest) -> ScoreRow:
        """Return the probability of the likeliest of the row's phrases, with that phrase as its label."""
        unknown = [phrase for phrase in row.spurious if phrase not in self.contrasts]
        if unknown:
            detail = f"nothing says how {unknown[0]!r} is told from its absence; known: {sorted(self.contrasts)}"
            return ScoreRow(row.sample_id, spurious_absence.SCORE, None, None, "reject", "no_contrast", detail)
        found = [(self.contrasts[phrase].prefers(embedding, 0), phrase) for phrase in row.spurious]
        return _checked(row.sample_id, spurious_absence.SCORE, *max(found))


def _unreadable(error: Any, row: ScoreRequest) -> list[ScoreRow]:
    return [ScoreRow(row.sample_id, name, None, None, "reject", "unreadable_image", str(error)) for name in SCORES]


def _answers(clip: ClipModel, names: Sequence[str], prompts: Sequence[Sequence[str]]) -> Answers:
    if len(names) != len(prompts) or not names or not all(prompts):
        raise ValueError(f"the judge needs at least one prompt for each of {list(names)}, got {list(prompts)}")
    return Answers(tuple(names), np.stack([clip.embed_wordings(wordings) for wordings in prompts]), clip.scale)


def _open(image: bytes | npt.NDArray[np.uint8] | Image.Image) -> Any:
    """Return the RGB picture, or the ``BadImage`` that says why there is none."""
    if isinstance(image, bytes):
        try:
            return decode_image(image)
        except BadImage as error:
            return error
    if isinstance(image, np.ndarray):
        from PIL import Image as pillow

        return pillow.fromarray(image)
    return image.convert("RGB")


def _checked(sample_id: str, score: str, value: float, label: str | None = None) -> ScoreRow:
    """Return the row, or a reject for a value that no manifest can hold."""
    if math.isfinite(value):
        return ScoreRow(sample_id, score, value, label)
    return ScoreRow(sample_id, score, None, None, "reject", "not_finite", f"the model gave {value}")
