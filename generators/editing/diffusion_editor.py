"""What diffusers editors share: loading, padded batches, one noise generator a sample, restoring what isn't masked."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image

from fairshards.generators.checkpoints.arguments import check_arguments, sampling_arguments
from fairshards.generators.checkpoints.isolation import run_rows
from fairshards.generators.checkpoints.loading import (
    autocast,
    check_eta,
    load_pipeline,
    resolve_device,
    seeded_steps,
    takes_of,
)
from fairshards.generators.checkpoints.model_files import resolve_model
from fairshards.generators.checkpoints.precision import resolve_dtype
from fairshards.generators.diffusion.encoding import encoded_behind
from fairshards.generators.diffusion.finite import FiniteRows
from fairshards.generators.diffusion.pixels import RawPicture, blank, fault, raw_pictures, to_uint8
from fairshards.generators.diffusion.requests import Batch, batches
from fairshards.generators.diffusion.trial import Asked, Pictures, Trial, quick, tried
from fairshards.generators.editing.base import EditReason, EditRequest, EditResult
from fairshards.generators.editing.masks import Pixels, feathered, resized, restored, scaled_radius
from fairshards.generators.images import encode_png


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
        self,
        pipeline: Any,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        size: tuple[int, int] | None = None,
        feather: float = 0.0,
    ) -> None:
        self.pipeline = pipeline
        self.device = device
        self.dtype = dtype
        self.size = size or _own_size(pipeline)
        self.feather = feather
        self._takes = takes_of(pipeline)

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        scheduler: str | None = None,
        allow_pickle: bool = False,
        **settings: Any,
    ) -> Self:
        """Load a folder or hub id; ``settings`` are the class's own (size, feather, ...).

        Raises:
            ModelFilesError: no such model, no weights, only pickled ones without ``allow_pickle``, or another kind.
            ValueError: a device, dtype or scheduler that can't be had here, or a pipeline whose noise can't be seeded.
        """
        folder = resolve_model(model, allow_pickle=allow_pickle)
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where, folder)
        pipeline = load_pipeline(
            folder, where, kind, scheduler or cls.default_scheduler, allow_pickle, cls.pipeline_class, cls.needed
        )
        loaded = cls(pipeline, device=where, dtype=kind, **settings)
        _ = loaded.trial
        return loaded

    def edit(self, requests: Sequence[EditRequest], batch_size: int) -> Iterator[EditResult]:
        """Yield one result a request, in order; PNGs of one batch are encoded while the next one is made.

        An edit that can't be made is a reject: ``nan_image``, ``blank_image``, ``safety_checker``, or ``edit_failed``
        for a prompt that the model can't take.

        Raises:
            ValueError: ``batch_size`` below 1, or above it for a pipeline whose pictures depend on their batch; a
                guidance scale, negative prompt or ``eta`` that pipeline or scheduler wouldn't heed, no mask where one
                is needed, or a mask of another size than its picture.
            RuntimeError, OSError, MemoryError: machine or model failed (out of memory, CUDA, disk).
        """
        name = type(self.pipeline).__name__
        for guidance, negative, eta in {(one.guidance_scale, bool(one.negative_prompt), one.eta) for one in requests}:
            check_arguments(name, self._takes, guidance, negative, eta)
            self.trial.check(name, guidance, negative, batch_size)
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
        with ExitStack() as stack:
            self._enter(stack)
            finite = stack.enter_context(FiniteRows(self.pipeline))
            arguments = self._arguments(batch, shown)
            stack.enter_context(seeded_steps(self.pipeline, arguments["generator"]))
            return raw_pictures(self.pipeline(**arguments), len(batch.requests), finite.rows)

    def _enter(self, stack: ExitStack) -> None:
        """Set up what every run needs: no gradients, the number format."""
        import torch

        stack.enter_context(torch.inference_mode())
        stack.enter_context(autocast(self.device, self.dtype))

    def _arguments(self, batch: Batch[EditRequest], shown: frozenset[int]) -> dict[str, Any]:
        """Return the pipeline's arguments, those that it takes."""
        requests = [batch.requests[row] for row in batch.rows()]
        inputs = {name: value for name, value in self.inputs(requests).items() if name in self._takes}
        return {**sampling_arguments(batch, shown, self._takes), **inputs}

    @cached_property
    def trial(self) -> Trial:
        """What the pipeline was seen to do with small grey pictures that are edited whole."""
        return tried(self.pipeline, self._takes, f"{self.device} {self.dtype}", self._trial_pictures)

    def _trial_pictures(self, asked: Sequence[Asked], steps: int, side: int | None) -> Pictures:
        """Return pictures of a trial, as ``edit`` would make them."""
        own = self.size
        self.size = own if side is None else (side, side)
        grey = np.full((*self.size, 3), 128, np.uint8)
        whole, calls = np.ones(self.size, bool), self.calls(steps)
        requests = tuple(
            EditRequest(str(row), one.seed, grey, whole, one.prompt, one.negative, one.guidance_scale, calls)
            for row, one in enumerate(asked)
        )
        batch, rows = Batch(requests, len(requests)), frozenset(range(len(requests)))
        try:
            with ExitStack() as stack:
                self._enter(stack)
                arguments = {**self._arguments(batch, rows), **quick(self._takes)}
                stack.enter_context(seeded_steps(self.pipeline, arguments["generator"]))
                return np.asarray(self.pipeline(**arguments).images, np.float32)
        finally:
            self.size = own

    def calls(self, steps: int) -> int:
        """Return the steps to ask for so that at least ``steps`` are made."""
        return steps

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
    """Return the height and width that the pipeline's model was made for.

    Raises:
        ValueError: it doesn't say.
    """
    config = getattr(getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None), "config", {})
    size = config.get("sample_size") or getattr(pipeline, "default_sample_size", None)
    if size is None:
        raise ValueError(
            f"{type(pipeline).__name__} doesn't say in which size its model works; set the editor's height and width"
        )
    height, width = (size, size) if isinstance(size, int) else size
    factor = pipeline.vae_scale_factor
    return height * factor, width * factor


def _check_mask(request: EditRequest, needed: bool) -> None:
    if request.mask is None:
        if needed:
            raise ValueError(
                f"edit {request.sample_id} has no mask, and inpainting fills one; segment its phrase "
                "first, or use an instruction editor"
            )
        return
    if request.mask.shape != request.image.shape[:2]:
        raise ValueError(
            f"edit {request.sample_id} has a mask of {request.mask.shape} for a picture of "
            f"{request.image.shape[:2]}; both must have the same height and width"
        )
