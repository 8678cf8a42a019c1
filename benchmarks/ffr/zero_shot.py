"""The zero-shot reference of the FFR benchmark: pocket-clip picks the class, having seen no training picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fairshards.trainers.core.index import Sample, class_names, group_counts, read_index
from fairshards.trainers.core.loaders import read_bytes
from fairshards.trainers.evaluation.evaluate import group_accuracies, summarise

PROMPT = "a photo of a {}"


def zero_shot(source_index: Path, model: str = "pocket:pocket-clip") -> dict[str, Any]:
    """Return the row of zero-shot CLIP on the test split of a real index."""
    from fairshards.filters.scorers.clip_model import ClipModel
    from fairshards.pipeline.pictures.models import model_folder

    index = read_index(source_index, g=0)
    clip = ClipModel.load(model_folder(model), device="cpu")
    texts = np.stack([clip.embed_text(PROMPT.format(name)) for name in class_names(index.samples)])
    test = index.of("test")
    pictures = clip.embed_images([_open(sample) for sample in test])
    predicted = torch.from_numpy(np.argmax(pictures @ texts.T, axis=1))
    summary = summarise(group_accuracies(predicted, test), group_counts(index.of("train")))
    return {"method": "zero-shot", "loss": "", "synthetic": 0, "bits": None, "steps": 0, **summary.as_dict()}


def _open(sample: Sample) -> Image.Image:
    return Image.open(io.BytesIO(read_bytes(sample))).convert("RGB")
