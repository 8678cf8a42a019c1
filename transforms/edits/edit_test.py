"""Test edits: did the reference classifier change its mind, and did the edit succeed? (ASPIRE; docs/methods.md#edits)

Raw scores of every edit are kept. Whether an edit succeeded, and so is evidence, is decided later, over them
(``pipeline/discovery/ranking.py``), so that a changed threshold costs no model
call. DDB's rho (docs/methods.md#attribution-inside-the-mask) is among the scores: whether an edit worked in the right
place (``filters/pictures/edit_misplaced.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fairshards.filters.scorers.clip_model import ClipModel
from fairshards.generators.checkpoints.loading import resolve_device
from fairshards.generators.editing.masks import Mask, decode_mask
from fairshards.generators.images import decode_image
from fairshards.trainers.classifiers.reference import ReferenceClassifier
from fairshards.trainers.core.errors import TrainerError
from fairshards.transforms.edits.specs import EditTestSpec
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import MASK, read_samples, slice_of
from fairshards.transforms.sources.pictures import source_pictures
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads

if TYPE_CHECKING:
    from PIL import Image

Vector = npt.NDArray[np.float64]


class LazyTester(LazyModels[EditTestSpec]):
    """Holds the reference classifier and CLIP."""

    @cached_property
    def models(self) -> tuple[ReferenceClassifier, ClipModel]:
        """The reference classifier and the CLIP model, loaded."""
        spec, device = self.spec, resolve_device(self.spec.device)
        use_threads(spec.threads)
        reference = ReferenceClassifier.load(Path(spec.training), device=device, batch_size=spec.batch_size)
        clip = ClipModel.load(spec.clip, device=device, batch_size=spec.batch_size, allow_pickle=spec.allow_pickle)
        return reference, clip


def _test(todo: OpenTask, models: LazyTester) -> Made:
    """Test the edits of one shard.

    Raises:
        ManifestError: a shard isn't there, or doesn't hold what its manifest says.
        TrainerError: the reference training isn't finished, or doesn't know a class number of the plan.
    """
    planned = {row["edit_id"]: row for row in todo.rows}
    good = [row for row in todo.rows_before if row["status"] == "ok"]
    plan = [planned[row["edit_id"]] for row in good]
    sources = dict.fromkeys(row["source_sha256"] for row in plan)
    order = {name: number for number, name in enumerate(sources)}
    first = {row["source_sha256"]: row for row in reversed(plan)}
    originals = [decode_image(data) for data in source_pictures(todo.task.run, [first[name] for name in sources])]
    edited = [decode_image(slice_of(todo.shard_before, row["offset"], row["size"])) for row in good]
    before, after = _looks(originals, models), _looks(edited, models)
    masks, rows = _masks(todo.shard_before), []
    for number, row in enumerate(plan):
        _check_class(row, models)
        source = order[row["source_sha256"]]
        changed = originals[source], edited[number], masks.get(row["edit_id"])
        rho = models.models[0].mask_attribution(*changed, row["y"])
        rows.append(_row(row, models, before.at(source), after.at(number), rho))
    return Made(rows, attempt={"samples": len(good), "device": models.spec.device})


def _masks(tar: bytes) -> dict[str, Mask]:
    """Return the masks of a shard's edits, by edit id; an edit that could change all has none."""
    return {key: decode_mask(members[MASK]) for key, members in read_samples(tar) if MASK in members} if tar else {}


@dataclass(frozen=True, eq=False)
class Looks:
    """What the models see in pictures: class probabilities (n, classes) and CLIP embeddings (n, d) of length 1."""

    probabilities: Vector
    embeddings: npt.NDArray[np.float32]

    def at(self, index: int) -> Looks:
        """Return one picture's, (classes,) and (d,)."""
        return Looks(self.probabilities[index], self.embeddings[index])

    def cosine(self, text: npt.NDArray[np.float32]) -> float:
        """Return the cosine of one picture with a text's embedding."""
        return float(np.dot(text.astype(np.float64), self.embeddings.astype(np.float64)))


def _looks(images: Sequence[Image.Image], lazy: LazyTester) -> Looks:
    reference, clip = lazy.models
    return Looks(reference.probabilities(images), clip.embed_images(images))


def _check_class(row: Mapping[str, Any], lazy: LazyTester) -> None:
    y, reference = row["y"], lazy.models[0]
    if not 0 <= y < len(reference.classes) or reference.classes[y] != row["class_name"]:
        raise TrainerError(
            f"edit {row['edit_id']} is of class {y} ({row['class_name']!r}), but the reference training "
            f"{lazy.spec.training} knows {list(reference.classes)}; train it on this run's classes"
        )


def _row(row: Mapping[str, Any], lazy: LazyTester, before: Looks, after: Looks, rho: float) -> dict[str, Any]:
    """Return the manifest row of one edit; numbers that no manifest can hold make it a reject."""
    y, cosines = row["y"], _cosines(row, lazy, before, after)
    said = [value for value in cosines.values() if value is not None]
    if not all(map(math.isfinite, [*before.probabilities, *after.probabilities, *said, rho])):
        detail = "the reference classifier or CLIP gave NaN or infinite values"
        return {"edit_id": row["edit_id"], "status": "reject", "reason": "not_finite", "detail": detail}
    predicted = int(before.probabilities.argmax()), int(after.probabilities.argmax())
    shares = float(before.probabilities[y]), float(after.probabilities[y])
    return {
        "edit_id": row["edit_id"],
        "predicted_before": predicted[0],
        "predicted_after": predicted[1],
        "hit": predicted[0] == y and predicted[1] != y,
        "probability_before": shares[0],
        "probability_after": shares[1],
        "probability_shift": shares[1] - shares[0],
        "probabilities_before": before.probabilities.tolist(),
        "probabilities_after": after.probabilities.tolist(),
        "mask_attribution": rho,
        **cosines,
        "status": "ok",
    }


def _cosines(row: Mapping[str, Any], lazy: LazyTester, before: Looks, after: Looks) -> dict[str, float | None]:
    """Return CLIP's cosines of both pictures with the phrase and, where there is one, with its replacement."""
    found: dict[str, float | None] = {}
    for name in ("phrase", "replacement"):
        said = row[name]
        text = lazy.models[1].embed_text(lazy.spec.wording.format(phrase=said)) if said else None
        found[f"{name}_before"] = None if text is None else before.cosine(text)
        found[f"{name}_after"] = None if text is None else after.cosine(text)
    return found


class EditTest(ModelStage[EditTestSpec]):
    """PCollection[TaskRecord] of shards of edits -> PCollection[TaskRecord] of their score manifests."""

    stage, folder, models = "edit_score", "edit_scores", LazyTester
    elements, title = "edited", "Test the edits"
    work = staticmethod(_test)
