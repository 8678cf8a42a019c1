"""Grounding DINO with SAM, as ASPIRE used them (docs/methods.md#edits): a phrase gives boxes, each box a mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from fairshards.generators.checkpoints.transformers_model import load_model, padded
from fairshards.generators.editing.masks import Mask, Pixels

BOX_THRESHOLD = 0.30
TEXT_THRESHOLD = 0.25
TEXT_TOKENS = 32
"""Phrases are padded to it; Grounding DINO itself takes 256."""
BOXES = 8
"""Boxes that SAM sees at once; fewer are padded, more make several calls."""

Box = list[float]


class GroundedSam:
    """A loaded detector and segmenter. The mask is the union of one mask a box; no box gives an empty one.

    Attributes:
        threshold, text_threshold: Boxes of at least this score count, where a token of the phrase has at least that.
    """

    def __init__(
        self,
        detector: tuple[Any, Any],
        sam: tuple[Any, Any],
        device: str,
        threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
    ) -> None:
        self.detector, self.detector_processor = detector
        self.sam, self.sam_processor = sam
        self.device = device
        self.threshold = threshold
        self.text_threshold = text_threshold

    @classmethod
    def load(
        cls,
        detector: str | Path,
        sam: str | Path,
        *,
        device: str = "auto",
        threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        allow_pickle: bool = False,
    ) -> Self:
        """Load two folders or hub ids, for example ``IDEA-Research/grounding-dino-tiny`` and ``facebook/sam-vit-huge``.

        Raises:
            ModelFilesError, ValueError: as ``fairshards.generators.checkpoints.transformers_model.load_model``.
        """
        finds, finds_processor, where = load_model(
            detector, "AutoModelForZeroShotObjectDetection", device, allow_pickle=allow_pickle
        )
        cuts, cuts_processor, _ = load_model(sam, "SamModel", device, allow_pickle=allow_pickle)
        return cls((finds, finds_processor), (cuts, cuts_processor), where, threshold, text_threshold)

    def segment(self, images: Sequence[Pixels], phrases: Sequence[str], batch_size: int) -> Iterator[Mask]:
        """Yield an (H, W) bool mask for each (H, W, 3) uint8 picture and its phrase.

        Raises:
            ValueError: pictures and phrases differ in number, or ``batch_size`` is below 1.
        """
        pairs = list(zip(images, phrases, strict=True))
        for rows, count in padded(pairs, batch_size):
            boxes = self.boxes(rows)[:count]
            yield from self._masks([image for image, _ in rows], boxes)

    def boxes(self, rows: Sequence[tuple[Pixels, str]]) -> list[list[Box]]:
        """Return the boxes [x0, y0, x1, y1] of each row's phrase, in pixels of its picture, the best first.

        Every picture is padded to the detector's largest square, so that a row never depends on the others' sizes.
        """
        import torch

        inputs = self.detector_processor(
            images=[image for image, _ in rows],
            text=[_as_label(phrase) for _, phrase in rows],
            return_tensors="pt",
            padding="max_length",
            truncation=True,
            max_length=min(TEXT_TOKENS, self.detector.config.max_text_len),
            pad_size=self._square(),
        ).to(self.device)
        with torch.inference_mode():
            found = self.detector(**inputs)
        kept = self.detector_processor.post_process_grounded_object_detection(
            found,
            inputs["input_ids"],
            threshold=self.threshold,
            text_threshold=self.text_threshold,
            target_sizes=[image.shape[:2] for image, _ in rows],
        )
        return [self._inside(result, image) for result, (image, _) in zip(kept, rows, strict=True)]

    def _square(self) -> dict[str, int]:
        size = self.detector_processor.image_processor.size
        side = int(size["longest_edge"])
        return {"height": side, "width": side}

    def _inside(self, result: Any, image: Pixels) -> list[Box]:
        """Return a result's boxes that a word of the phrase stands for, cut to the picture."""
        height, width = image.shape[:2]
        order = result["scores"].argsort(descending=True, stable=True).tolist()
        boxes = [result["boxes"][index].tolist() for index in order if result["text_labels"][index]]
        return [
            [min(max(x0, 0), width), min(max(y0, 0), height), min(max(x1, 0), width), min(max(y1, 0), height)]
            for x0, y0, x1, y1 in boxes
        ]

    def _masks(self, images: Sequence[Pixels], boxes: Sequence[Sequence[Box]]) -> Iterator[Mask]:
        """Yield the union of each row's masks; SAM sees the whole padded batch, or nothing where no row has a box."""
        import torch

        if not any(boxes):
            yield from (np.zeros(image.shape[:2], bool) for image, _ in zip(images, boxes, strict=False))
            return
        inputs = self.sam_processor(images=list(images), return_tensors="pt")
        with torch.inference_mode():
            embedded = self.sam.get_image_embeddings(inputs["pixel_values"].to(self.device))
        for row, own in enumerate(boxes):
            sizes = (inputs["original_sizes"][row].tolist(), inputs["reshaped_input_sizes"][row].tolist())
            yield self._union(embedded[row : row + 1], own, *sizes)

    def _union(self, embedded: Any, boxes: Sequence[Box], original: list[int], reshaped: list[int]) -> Mask:
        """Return the union of one mask a box, (H, W) bool. Boxes go to SAM scaled to the size that it sees."""
        import torch

        union = np.zeros(tuple(original), bool)
        scale = [reshaped[1] / original[1], reshaped[0] / original[0]] * 2
        for part, count in padded(boxes, BOXES):
            scaled = torch.tensor([[side * by for side, by in zip(box, scale, strict=True)] for box in part])
            with torch.inference_mode():
                made = (
                    self.sam(
                        image_embeddings=embedded, input_boxes=scaled[None].to(self.device), multimask_output=False
                    )
                    .pred_masks[0, :count]
                    .cpu()
                )
            full = self.sam_processor.post_process_masks([made], [original], [reshaped])[0]
            union |= np.asarray(full.any(0)[0])
        return union


def _as_label(phrase: str) -> str:
    """Return the phrase as Grounding DINO was trained to read it: lower case, ended by a full stop."""
    return phrase.lower().replace(".", " ").strip() + "."
