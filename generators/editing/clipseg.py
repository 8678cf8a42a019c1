"""CLIPSeg: a picture and a phrase give a map of probabilities, and a threshold a mask of it (arXiv 2112.10003)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from fairshards.generators.checkpoints.transformers_model import load_model, padded
from fairshards.generators.editing.masks import Mask, Pixels

THRESHOLD = 0.4


class ClipSeg:
    """A loaded CLIPSeg model. Every call has the same shapes: padded rows, one picture size, padded texts.

    Attributes:
        threshold: Pixels of at least this probability are masked.
    """

    def __init__(self, model: Any, processor: Any, device: str, threshold: float = THRESHOLD) -> None:
        self.model = model
        self.processor = processor
        self.device = device
        self.threshold = threshold

    @classmethod
    def load(
        cls, model: str | Path, *, device: str = "auto", threshold: float = THRESHOLD, allow_pickle: bool = False
    ) -> Self:
        """Load a folder or hub id, for example ``CIDAS/clipseg-rd64-refined``.

        Raises:
            ModelFilesError, ValueError: as ``fairshards.generators.checkpoints.transformers_model.load_model``.
        """
        loaded, processor, where = load_model(model, "CLIPSegForImageSegmentation", device, allow_pickle=allow_pickle)
        return cls(loaded, processor, where, threshold)

    def segment(self, images: Sequence[Pixels], phrases: Sequence[str], batch_size: int) -> Iterator[Mask]:
        """Yield an (H, W) bool mask for each (H, W, 3) uint8 picture and its phrase.

        Raises:
            ValueError: pictures and phrases differ in number, or ``batch_size`` is below 1.
        """
        pairs = list(zip(images, phrases, strict=True))
        for rows, count in padded(pairs, batch_size):
            maps = self._probabilities(rows)
            for (image, _), found in zip(rows[:count], maps, strict=False):
                yield self._mask(found, image)

    def _probabilities(self, rows: Sequence[tuple[Pixels, str]]) -> Any:
        """Return (rows, h, w) probabilities in the model's own size, float32 on the CPU."""
        import torch

        inputs = self.processor(
            text=[phrase for _, phrase in rows],
            images=[image for image, _ in rows],
            padding="max_length",
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = self.model(**inputs.to(self.device)).logits
        return logits.sigmoid().float().cpu()

    def _mask(self, found: Any, image: Pixels) -> Mask:
        """Return the mask in the picture's size; probabilities are interpolated, not masks."""
        import torch

        size = image.shape[:2]
        with torch.inference_mode():
            full = torch.nn.functional.interpolate(found[None, None], size, mode="bilinear", align_corners=False)
        return np.asarray(full[0, 0] >= self.threshold)
