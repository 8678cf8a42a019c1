"""ASPIRE+DFR's second step: the last layer of an ERM model refit on balanced groups and spurious-free samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainers.dfr import REFITS, Embedded, Found, LinearHead, numbered, refit
from trainers.evaluate import evaluating
from trainers.index import Sample
from trainers.loaders import Pictures, batches
from trainers.models import Classifier, last_linear
from trainers.seeding import part_seed
from trainers.train import Data

NAME = "last layer"
PRECISION = "float32"
"""What the last layer is refit and measured in: folding the standardisation in costs digits that bfloat16 lacks."""


@dataclass(frozen=True)
class LastLayer:
    """What the last layer is refit on: spurious-free samples, and the group of every real train and val sample."""

    spurious_free: tuple[Sample, ...]
    groups: Mapping[str, str]


def refit_last_layer(
    model: Classifier, plan: LastLayer, train: Data, val: Data, spurious_free: Data, seed: int, device: torch.device,
    workers: int = 0,
) -> dict[str, Any]:
    """Replace the weights of the model's last linear layer by DFR's and return what was chosen, for the record.

    Raises:
        TrainerError: the model's last layer isn't linear.
    """
    split = {
        name: _embedded(model, plan.groups, data, device, workers) for name, data in (("train", train), ("val", val))
    }
    added = embed(model, spurious_free.pictures, device, workers)
    synthetic = Embedded(added, _classes(spurious_free.samples), np.full(len(added), -1, np.int64))
    layer = last_linear(model)
    head, found = refit(split["train"], synthetic, split["val"], layer.out_features, part_seed(seed, "dfr"))
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
    model: Classifier, groups: Mapping[str, str], data: Data, device: torch.device, workers: int
) -> Embedded:
    """Embed the samples that have a group; the others can't be balanced."""
    placed = [number for number, sample in enumerate(data.samples) if sample.sample_id in groups]
    samples = [data.samples[number] for number in placed]
    embeddings = embed(model, data.pictures, device, workers)[placed]
    return Embedded(embeddings, _classes(samples), numbered([groups[sample.sample_id] for sample in samples]))


def _classes(samples: Sequence[Sample]) -> np.ndarray[Any, Any]:
    return np.array([sample.y for sample in samples], dtype=np.int64)


def _account(plan: LastLayer, train: Sequence[Sample], val: Sequence[Sample], found: Found) -> dict[str, Any]:
    return {
        "groups": _counts(plan, train), "val_groups": _counts(plan, val),
        "without_group": sum(sample.sample_id not in plan.groups for sample in (*train, *val)),
        "synthetic": len(plan.spurious_free), "refits": REFITS, "precision": PRECISION, **asdict(found),
    }  # fmt: skip


def _counts(plan: LastLayer, samples: Sequence[Sample]) -> dict[str, int]:
    names = (plan.groups[sample.sample_id] for sample in samples if sample.sample_id in plan.groups)
    return dict(sorted(Counter(names).items()))
