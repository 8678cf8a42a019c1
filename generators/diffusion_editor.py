"""What diffusers editors share: loading, padded batches, one noise generator a sample, restoring what isn't masked."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

from PIL import Image

from generators.arguments import sampling_arguments
from generators.editing import EditReason, EditRequest, EditResult
from generators.encoding import encoded_behind
from generators.finite import FiniteRows
from generators.images import encode_png
from generators.isolation import run_rows
from generators.loading import accepted_arguments, autocast, check_eta, load_pipeline, resolve_device
from generators.masks import Pixels, feathered, resized, restored, scaled_radius
from generators.model_files import resolve_model
from generators.pixels import RawPicture, blank, fault, raw_pictures, to_uint8
from generators.precision import resolve_dtype
from generators.requests import Batch, batches


class DiffusionEditor(ABC):
    """A loaded diffusers pipeline that answers ``EditRequest`` with ``EditResult``.

    A picture is brought to the size that the model works in, edited, and brought back to its own size; outside
    the mask, where there is one, every pixel is then the source's own.

    Attributes:
        pipeline: The diffusers pipeline.
        device, dtype: Where and in which number format it runs, resolved ("cpu", "float32").
        size: Height and width that the model works in; by default the U-Net's own.
        feather: Width in pixels, at a short side of 512, over which edit and source blend outside the mask.
    """

    pipeline_class: ClassVar[str]
    needed: ClassVar[tuple[str, ...]]
    default_scheduler: ClassVar[str | None] = None
    needs_mask: bool

    def __init__(
        self, pipeline: Any, *, device: str = "cpu", dtype: str = "float32", size: tuple[int, int] | None = None,
        feather: float = 0.0,
    ) -> None:
        self.pipeline = pipeline
        self.device = device
        self.dtype = dtype
        self.size = size or _own_size(pipeline)
        self.feather = feather
        self._accepted = accepted_arguments(pipeline.__call__)

    @classmethod
    def load(
        cls, model: str | Path, *, device: str = "auto", dtype: str = "auto", scheduler: str | None = None,
        allow_pickle: bool = False, **settings: Any,
    ) -> Self:
        """Load a folder or hub id; ``settings`` are the class's own (size, feather, ...).

        Raises:
            ModelFilesError: no such model, no weights, only pickled ones without ``allow_pickle``, or another kind.
            ValueError: a device, dtype or scheduler that can't be had here.
        """
        folder = resolve_model(model, allow_pickle=allow_pickle)
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where, folder)
        pipeline = load_pipeline(
            folder, where, kind, scheduler or cls.default_scheduler, allow_pickle, cls.pipeline_class, cls.needed
        )
        return cls(pipeline, device=where, dtype=kind, **settings)

    def edit(self, requests: Sequence[EditRequest], batch_size: int) -> Iterator[EditResult]:
        """Yield one result a request, in order; PNGs of one batch are encoded while the next one is made.

        An edit that can't be made is a reject: ``nan_image``, ``blank_image``, ``safety_checker``, or ``edit_failed``
        for a prompt that the model can't take.

        Raises:
            ValueError: ``batch_size`` below 1, an ``eta`` that the scheduler can't take, no mask where one is
                needed, or a mask of another size than its picture.
            RuntimeError, OSError, MemoryError: machine or model failed (out of memory, CUDA, disk).
        """
        check_eta(self.pipeline, {request.eta for request in requests})
        for request in requests:
            _check_mask(request, self.needs_mask)
        made = ((batch.requests, self._make(batch)) for batch in batches(requests, batch_size))
        yield from encoded_behind(made, self._result)

    @abstractmethod
    def inputs(self, requests: Sequence[EditRequest]) -> dict[str, Any]:
        """Return the pipeline's arguments that are this editor's own, of the rows of a padded batch."""

    def picture(self, request: EditRequest) -> Image.Image:
        """Return the request's picture in the size that the model works in."""
        return Image.fromarray(resized(request.image, *self.size))

    def radius(self, request: EditRequest) -> int:
        """Return the width in pixels over which this picture is feathered."""
        return scaled_radius(2 * self.feather, *request.image.shape[:2])

    def _make(self, batch: Batch[EditRequest]) -> list[RawPicture | Exception]:
        """Run the model on one batch; a row that fails has its exception in place of a picture."""
        return run_rows(lambda shown: self._run(batch, shown), len(batch.requests))

    def _run(self, batch: Batch[EditRequest], shown: frozenset[int]) -> list[RawPicture]:
        """Run the model with the rows of ``shown`` as asked and an empty prompt in the others."""
        import torch

        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(autocast(self.device, self.dtype))
            finite = stack.enter_context(FiniteRows(self.pipeline))
            output = self.pipeline(**self._arguments(batch, shown))
            return raw_pictures(output, len(batch.requests), finite.rows)

    def _arguments(self, batch: Batch[EditRequest], shown: frozenset[int]) -> dict[str, Any]:
        """Return the pipeline's arguments, those that it takes."""
        requests = [batch.requests[row] for row in batch.rows()]
        arguments = {**sampling_arguments(batch, shown), **self.inputs(requests)}
        return {name: value for name, value in arguments.items() if name in self._accepted}

    def _result(self, request: EditRequest, made: RawPicture | Exception) -> EditResult:
        if isinstance(made, Exception):
            return rejected(request.sample_id, "edit_failed", f"{type(made).__name__}: {made}"[:500])
        if wrong := fault(made):
            return rejected(request.sample_id, *wrong)
        levels = self._finished(request, to_uint8(made.pixels))
        if wrong := blank(levels):
            return rejected(request.sample_id, *wrong)
        png, (height, width) = encode_png(levels), levels.shape[:2]
        return EditResult(request.sample_id, png, width, height, hashlib.sha256(png).hexdigest(), "ok")

    def _finished(self, request: EditRequest, edited: Pixels) -> Pixels:
        """Return the edit in its picture's size, with the source's own pixels outside the mask."""
        full = resized(edited, *request.image.shape[:2])
        if request.mask is None:
            return full
        return restored(request.image, full, feathered(request.mask, self.radius(request)))


def rejected(sample_id: str, reason: EditReason, detail: str) -> EditResult:
    """Return the result of an edit without a picture."""
    return EditResult(sample_id, None, None, None, None, "reject", reason, detail)


def _own_size(pipeline: Any) -> tuple[int, int]:
    """Return the height and width that the pipeline's U-Net was made for."""
    size, factor = pipeline.unet.config.sample_size, pipeline.vae_scale_factor
    height, width = (size, size) if isinstance(size, int) else size
    return height * factor, width * factor


def _check_mask(request: EditRequest, needed: bool) -> None:
    if request.mask is None:
        if needed:
            raise ValueError(f"edit {request.sample_id} has no mask, and inpainting fills one; segment its phrase "
                             "first, or use an instruction editor")
        return
    if request.mask.shape != request.image.shape[:2]:
        raise ValueError(f"edit {request.sample_id} has a mask of {request.mask.shape} for a picture of "
                         f"{request.image.shape[:2]}; both must have the same height and width")
