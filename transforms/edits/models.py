"""From the specs of the edit stage to loaded models."""

from __future__ import annotations

from typing import Any

from fairshards.generators.editing.base import Editor
from fairshards.generators.editing.inpainting import Inpainting
from fairshards.generators.editing.instruct_edit import InstructEdit
from fairshards.generators.editing.segmentation import Segmenter, load_segmenter
from fairshards.transforms.edits.specs import EditorSpec
from fairshards.transforms.pictures.specs import SegmenterSpec


def load_segmenter_of(spec: SegmenterSpec, device: str) -> Segmenter:
    """Load the segmenter that a spec names.

    Raises:
        ModelFilesError, ValueError: as ``fairshards.generators.editing.segmentation.load_segmenter``.
    """
    return load_segmenter(
        spec.model, spec.sam, device=device, threshold=spec.threshold, text_threshold=spec.text_threshold
    )


def load_editor(spec: EditorSpec, device: str) -> Editor:
    """Load the editor that a spec names.

    Raises:
        ModelFilesError, ValueError: as ``DiffusionEditor.load``, or only one of height and width is given.
    """
    if (spec.height is None) != (spec.width is None):
        raise ValueError(f"the editor has height {spec.height} and width {spec.width}; give both, or neither")
    size = (spec.height, spec.width) if spec.height and spec.width else None
    how: dict[str, Any] = {
        "device": device,
        "dtype": spec.dtype,
        "scheduler": spec.scheduler,
        "allow_pickle": spec.allow_pickle,
        "size": size,
        "feather": spec.feather,
    }
    if spec.kind == "instruct":
        return InstructEdit.load(spec.model, **how, image_guidance_scale=spec.image_guidance_scale)
    return Inpainting.load(spec.model, **how, strength=spec.strength)
