"""Text to image with any diffusers pipeline: seeded per sample, in fixed padded batches, encoded to PNG.

For the same versions, device, dtype, batch size and thread count, a list of requests gives the same bytes
wherever it runs: each sample has its own noise generator, batches always have the same shape, and their
composition follows from the list alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

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
from fairshards.generators.checkpoints.pipeline_folder import size_step
from fairshards.generators.checkpoints.precision import resolve_dtype
from fairshards.generators.diffusion.encoding import encoded_behind
from fairshards.generators.diffusion.finite import FiniteRows
from fairshards.generators.diffusion.perp_neg import PerpNeg, check_perp_neg
from fairshards.generators.diffusion.personal import add_personal, check_new_words
from fairshards.generators.diffusion.pixels import RawPicture, check_size, finish, raw_pictures, rejected
from fairshards.generators.diffusion.requests import Batch, ImageRequest, ImageResult, batches
from fairshards.generators.diffusion.trajectory import TrajectoryVariance
from fairshards.generators.diffusion.trial import Asked, Pictures, Trial, quick, tried

__all__ = ["ImageRequest", "ImageResult", "TextToImage"]


class TextToImage:
    """A loaded pipeline that answers ``ImageRequest`` with ``ImageResult``.

    Attributes:
        pipeline: The diffusers pipeline.
        device, dtype: Where and in which number format it runs, resolved ("cpu", "float32").
    """

    def __init__(self, pipeline: Any, *, device: str = "cpu", dtype: str = "float32") -> None:
        self.pipeline = pipeline
        self.device = device
        self.dtype = dtype
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
        personal: Sequence[str | Path] = (),
    ) -> Self:
        """Load a folder or hub id, with another scheduler class where one is named.

        ``personal`` are folders of what the model was taught (``trainers/personal/personalise.py``): tokens, and at
        most one LoRA.

        Raises:
            ModelFilesError: no such model, no weights, or only pickled ones without ``allow_pickle``.
            ValueError: a device, dtype, scheduler or combination of ``personal`` that can't be had here, or a pipeline
                whose noise can't be seeded per sample (``generators/diffusion/trial.py``).
        """
        folder = resolve_model(model, allow_pickle=allow_pickle)
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where, folder)
        pipeline = load_pipeline(folder, where, kind, scheduler, allow_pickle)
        loaded = cls(pipeline, device=where, dtype=kind)
        _ = loaded.trial
        add_personal(pipeline, personal)
        return loaded

    def generate(self, requests: Sequence[ImageRequest], batch_size: int) -> Iterator[ImageResult]:
        """Yield one result a request, in order; PNGs of one batch are encoded while the next one is made.

        A sample that can't be made is a reject: ``nan_image``, ``blank_image``, ``safety_checker``, or
        ``generation_failed`` for a prompt that the model can't take.

        Raises:
            ValueError: ``batch_size`` below 1, or above it for a pipeline whose pictures depend on their batch; a size,
                guidance, negative prompt or ``eta`` that pipeline or scheduler wouldn't heed, ``negatives`` where the
                pipeline can't have Perp-Neg guidance, or a ``<word>`` that wasn't loaded.
            RuntimeError, OSError, MemoryError: machine or model failed (out of memory, CUDA, disk), or the pictures
                have another size than was asked for.
        """
        self.check(requests, batch_size)
        made = ((batch.requests, self._make(batch)) for batch in batches(requests, batch_size))
        yield from encoded_behind(made, finished)

    @cached_property
    def trial(self) -> Trial:
        """What the pipeline was seen to do with small pictures."""
        return tried(self.pipeline, self._takes, f"{self.device} {self.dtype}", self._trial_pictures)

    def check(self, requests: Sequence[ImageRequest], batch_size: int) -> None:
        """Refuse what the pipeline would take in silence; see ``generate``."""
        name, step = type(self.pipeline).__name__, size_step(self._configs)
        for guidance, negative, eta, height, width in {
            (one.guidance_scale, bool(one.negative_prompt), one.eta, one.height, one.width) for one in requests
        }:
            check_arguments(name, self._takes, guidance, negative, eta)
            self.trial.check(name, guidance, negative, batch_size)
            if (height % step or width % step) and "use_resolution_binning" not in self._takes:
                raise ValueError(
                    f"{name} makes pictures whose height and width are multiples of {step}, but "
                    f"{height}x{width} was asked for (height x width)"
                )
        check_eta(self.pipeline, {request.eta for request in requests})
        check_perp_neg(self.pipeline, requests)
        check_new_words(self.pipeline, requests)

    def _make(self, batch: Batch[ImageRequest]) -> list[RawPicture | Exception]:
        """Run the model on one batch; a row that fails has its exception in place of a picture."""
        return run_rows(lambda shown: self._run(batch, shown), len(batch.requests))

    def _run(self, batch: Batch[ImageRequest], shown: frozenset[int]) -> list[RawPicture]:
        """Run the model with the rows of ``shown`` as asked and an empty prompt in the others."""
        with ExitStack() as stack:
            finite, follower = self.watch(stack, batch.requests[0].window)
            self.enter(stack, batch, shown)
            arguments = self.arguments(batch, shown)
            stack.enter_context(seeded_steps(self.pipeline, arguments["generator"]))
            made = raw_pictures(self.pipeline(**arguments), len(batch.requests), finite.rows, follower)
        check_size(made, batch.requests[0].height, batch.requests[0].width, type(self.pipeline).__name__)
        return made

    def enter(self, stack: ExitStack, batch: Batch[ImageRequest], shown: frozenset[int]) -> None:
        """Set up what every sampling run needs: no gradients, the number format, Perp-Neg."""
        import torch

        stack.enter_context(torch.inference_mode())
        stack.enter_context(autocast(self.device, self.dtype))
        negatives = [batch.requests[row].negatives if row in shown else () for row in batch.rows()]
        stack.enter_context(PerpNeg(self.pipeline, negatives))

    def watch(self, stack: ExitStack, window: int, begin: int = 0) -> tuple[FiniteRows, TrajectoryVariance | None]:
        """Set up what is measured of a sampling run that ends in pictures, and begins at a step."""
        finite = stack.enter_context(FiniteRows(self.pipeline))
        follower = TrajectoryVariance(self.pipeline.scheduler, window, begin) if window else None
        return finite, stack.enter_context(follower) if follower else None

    def arguments(self, batch: Batch[ImageRequest], shown: frozenset[int]) -> dict[str, Any]:
        """Return the pipeline's arguments, those that it takes."""
        first = batch.requests[0]
        return {**sampling_arguments(batch, shown, self._takes), "height": first.height, "width": first.width}

    @property
    def _configs(self) -> dict[str, Any]:
        parts = {name: getattr(part, "config", None) for name, part in self.pipeline.components.items()}
        return {name: dict(config) for name, config in parts.items() if isinstance(config, Mapping)}

    def _trial_pictures(self, asked: Sequence[Asked], steps: int, side: int | None) -> Pictures:
        """Return pictures of a trial, as ``generate`` would have them; sides are rounded up to what the model takes."""
        whole = -(-(side or 1) // size_step(self._configs)) * size_step(self._configs)
        requests = tuple(
            ImageRequest(str(row), one.seed, one.prompt, one.negative, one.guidance_scale, steps, whole, whole)
            for row, one in enumerate(asked)
        )
        batch, rows = Batch(requests, len(requests)), frozenset(range(len(requests)))
        with ExitStack() as stack:
            self.enter(stack, batch, rows)
            arguments = {**self.arguments(batch, rows), **quick(self._takes)}
            if side is None:
                del arguments["height"], arguments["width"]
            stack.enter_context(seeded_steps(self.pipeline, arguments["generator"]))
            return np.asarray(self.pipeline(**arguments).images, np.float32)


def finished(request: ImageRequest, made: RawPicture | Exception) -> ImageResult:
    """Return the result of one request: its encoded picture, or why there is none."""
    if isinstance(made, Exception):
        return rejected(request.sample_id, "generation_failed", f"{type(made).__name__}: {made}"[:500])
    return finish(request.sample_id, made)
