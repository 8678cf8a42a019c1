"""ASPIRE+DFR's second step: the last layer of an ERM model refit on balanced groups and spurious-free samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fairshards.trainers.classifiers.dfr import REFITS, Embedded, Found, LinearHead, numbered, refit
from fairshards.trainers.classifiers.models import Classifier, last_linear
from fairshards.trainers.classifiers.train import Data
from fairshards.trainers.core.index import Sample
from fairshards.trainers.core.loaders import Pictures, batches
from fairshards.trainers.core.seeding import part_seed
from fairshards.trainers.evaluation.evaluate import evaluating

NAME = "last layer"
PRECISION = "float32"
"""What the last layer is refit and measured in: folding the standardisation in costs digits that bfloat16 lacks."""


@dataclass(frozen=True)
class LastLayer:
    """What the last layer is refit on: spurious-free samples, and the group of every real train and val sample.

    ``joined`` has the groups that spurious-free samples share with real ones; without any they are a group of their
    own, which isn't balanced.
    """

    spurious_free: tuple[Sample, ...]
    groups: Mapping[str, str]
    joined: Mapping[str, str]


def refit_last_layer(
    model: Classifier,
    plan: LastLayer,
    train: Data,
    val: Data,
    spurious_free: Data,
    seed: int,
    device: torch.device,
    workers: int = 0,
) -> dict[str, Any]:
    """Replace the weights of the model's last linear layer by DFR's and return what was chosen, for the record.

    Raises:
        TrainerError: the model's last layer isn't linear.
    """
    beside = [] if plan.joined else [spurious_free]
    own_group = {sample.sample_id: "" for data in beside for sample in data.samples}
    balanced = [train, spurious_free] if plan.joined else [train]
    real = _embedded(model, {**plan.groups, **plan.joined}, balanced, device, workers)
    synthetic = _embedded(model, own_group, beside, device, workers)
    held = _embedded(model, plan.groups, [val], device, workers)
    layer = last_linear(model)
    head, found = refit(real, synthetic, held, layer.out_features, part_seed(seed, "dfr"))
    fold(layer, head)
    return _account(plan, train.samples, val.samples, found)


def embed(model: Classifier, pictures: Pictures, device: torch.device, workers: int = 0) -> np.ndarray[Any, Any]:
    """Return what the model's last layer is given for every picture, float64 [N, D], computed in float32."""
    layer, given = last_linear(model), list[Tensor]()
    handle = layer.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach().cpu()))
    try:
        with evaluating(model), torch.inference_mode():
            for images, _ in batches(pictures, torch.arange(len(pictures)), 256, device, workers):
                model(images)
    finally:
        handle.remove()
    return torch.cat(given).double().numpy() if given else np.zeros((0, layer.in_features))


def fold(layer: nn.Linear, head: LinearHead) -> None:
    """Write the head into the layer, in the layer's dtype and on its device."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight))
        layer.bias.copy_(torch.from_numpy(head.bias))


def _embedded(
    model: Classifier, groups: Mapping[str, str], parts: Sequence[Data], device: torch.device, workers: int
) -> Embedded:
    """Embed the samples of some parts that have a group; the others can't be balanced."""
    found, samples = [np.zeros((0, last_linear(model).in_features))], list[Sample]()
    for data in parts:
        placed = [number for number, sample in enumerate(data.samples) if sample.sample_id in groups]
        samples += [data.samples[number] for number in placed]
        found.append(embed(model, data.pictures, device, workers)[placed])
    classes = np.array([sample.y for sample in samples], dtype=np.int64)
    return Embedded(np.concatenate(found), classes, numbered([groups[sample.sample_id] for sample in samples]))


def _account(plan: LastLayer, train: Sequence[Sample], val: Sequence[Sample], found: Found) -> dict[str, Any]:
    return {
        "groups": _counts(plan, train),
        "val_groups": _counts(plan, val),
        "without_group": sum(sample.sample_id not in plan.groups for sample in (*train, *val)),
        **({"synthetic_groups": dict(sorted(Counter(plan.joined.values()).items()))} if plan.joined else {}),
        "synthetic": len(plan.spurious_free),
        "refits": REFITS,
        "precision": PRECISION,
        **asdict(found),
    }


def _counts(plan: LastLayer, samples: Sequence[Sample]) -> dict[str, int]:
    names = (plan.groups[sample.sample_id] for sample in samples if sample.sample_id in plan.groups)
    return dict(sorted(Counter(names).items()))
