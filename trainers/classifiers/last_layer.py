"""The last layer of a trained model, refit on balanced groups and spurious-free samples (ASPIRE+DFR)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairshards.trainers.classifiers.dfr import REFITS, Chosen, Embedded, LinearHead, numbered, refit
from fairshards.trainers.classifiers.models import Classifier, last_linear
from fairshards.trainers.classifiers.train import Data
from fairshards.trainers.core.index import Sample
from fairshards.trainers.core.loaders import Pictures, batches
from fairshards.trainers.core.place import Place
from fairshards.trainers.core.seeding import part_seed
from fairshards.trainers.evaluation.evaluate import evaluating
from fairshards.trainers.methods.base import LastLayer

NAME = "last layer"
PRECISION = "float32"
"""What the last layer is refit and measured in: folding the standardisation in costs digits that bfloat16 lacks."""


@dataclass(frozen=True)
class RefitData:
    """What a refit reads, with its pictures: the real train and val samples, and the spurious-free ones."""

    train: Data
    val: Data
    spurious_free: Data


def refit_last_layer(model: Classifier, plan: LastLayer, data: RefitData, seed: int, place: Place) -> dict[str, Any]:
    """Replace the weights of the model's last linear layer by DFR's and return what was chosen, for the record.

    Raises:
        TrainerError: the model's last layer isn't linear.
    """
    beside = [] if plan.joined else [data.spurious_free]
    own_group = {sample.sample_id: "" for part in beside for sample in part.samples}
    balanced = [data.train, data.spurious_free] if plan.joined else [data.train]
    real = _embedded(model, {**plan.groups, **plan.joined}, balanced, place)
    synthetic = _embedded(model, own_group, beside, place)
    held = _embedded(model, plan.groups, [data.val], place)
    layer = last_linear(model)
    head, chosen = refit(real, synthetic, held, layer.out_features, part_seed(seed, "dfr"))
    fold(layer, head)
    return _account(plan, data.train.samples, data.val.samples, chosen)


def embed(model: Classifier, pictures: Pictures, place: Place) -> np.ndarray[Any, Any]:
    """Return what the model's last layer is given for every picture, float64 [N, D], computed in float32."""
    layer, embedded = last_linear(model), list[Tensor]()
    handle = layer.register_forward_pre_hook(lambda _, inputs: embedded.append(inputs[0].detach().cpu()))
    try:
        with evaluating(model), torch.inference_mode():
            for images, _ in batches(pictures, torch.arange(len(pictures)), 256, place.device, place.workers):
                model(images)
    finally:
        handle.remove()
    return torch.cat(embedded).double().numpy() if embedded else np.zeros((0, layer.in_features))


def fold(layer: nn.Linear, head: LinearHead) -> None:
    """Write the head into the layer, in the layer's dtype and on its device."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))


def _embedded(model: Classifier, groups: Mapping[str, str], parts: Sequence[Data], place: Place) -> Embedded:
    """Embed the samples of some parts that have a group; the others can't be balanced."""
    embeddings, samples = [np.zeros((0, last_linear(model).in_features))], list[Sample]()
    for data in parts:
        placed = [number for number, sample in enumerate(data.samples) if sample.sample_id in groups]
        samples += [data.samples[number] for number in placed]
        embeddings.append(embed(model, data.pictures, place)[placed])
    classes = np.array([sample.y for sample in samples], dtype=np.int64)
    return Embedded(np.concatenate(embeddings), classes, numbered([groups[sample.sample_id] for sample in samples]))


def _account(plan: LastLayer, train: Sequence[Sample], val: Sequence[Sample], chosen: Chosen) -> dict[str, Any]:
    return {
        "groups": _counts(plan, train),
        "val_groups": _counts(plan, val),
        "without_group": sum(sample.sample_id not in plan.groups for sample in (*train, *val)),
        **({"synthetic_groups": dict(sorted(Counter(plan.joined.values()).items()))} if plan.joined else {}),
        "synthetic": len(plan.spurious_free),
        "refits": REFITS,
        "precision": PRECISION,
        **asdict(chosen),
    }


def _counts(plan: LastLayer, samples: Sequence[Sample]) -> dict[str, int]:
    names = (plan.groups[sample.sample_id] for sample in samples if sample.sample_id in plan.groups)
    return dict(sorted(Counter(names).items()))
