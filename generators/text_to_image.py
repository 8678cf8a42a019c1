"""Text to image with any diffusers pipeline: seeded per sample, in fixed padded batches, encoded to PNG.

For the same versions, device, dtype, batch size and thread count, a list of requests gives the same bytes
wherever it runs: each sample has its own noise generator, batches always have the same shape, and their
composition follows from the list alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from generators.finite import FiniteRows
from generators.isolation import run_rows
from generators.loading import accepted_arguments, load_pipeline, resolve_device, weights_dtype
from generators.model_files import resolve_model
from generators.pixels import RawPicture, finish, rejected
from generators.precision import resolve_dtype
from generators.requests import Batch, ImageRequest, ImageResult, batches
from generators.trajectory import TrajectoryVariance

__all__ = ["ImageRequest", "ImageResult", "TextToImage"]

FLAGS = ("nsfw_content_detected", "nsfw_detected", "watermark_detected")
"""Where pipelines report the pictures that their safety checkers blackened (the latter two: DeepFloyd IF)."""


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
        self._accepted = accepted_arguments(pipeline.__call__)

    @classmethod
    def load(
        cls, model: str | Path, *, device: str = "auto", dtype: str = "auto", scheduler: str | None = None,
        allow_pickle: bool = False,
    ) -> Self:
        """Load a folder or hub id, with another scheduler class where one is named.

        Raises:
            ModelFilesError: no such model, no weights, or only pickled ones without ``allow_pickle``.
            ValueError: a device, dtype or scheduler that can't be had here.
        """
        folder = resolve_model(model, allow_pickle=allow_pickle)
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where, folder)
        return cls(load_pipeline(folder, where, kind, scheduler, allow_pickle), device=where, dtype=kind)

    def generate(self, requests: Sequence[ImageRequest], batch_size: int) -> Iterator[ImageResult]:
        """Yield one result a request, in order; PNGs of one batch are encoded while the next one is made.

        A sample that can't be made is a reject: ``nan_image``, ``blank_image``, ``safety_checker``, or
        ``generation_failed`` for a prompt that the model can't take.

        Raises:
            ValueError: ``batch_size`` below 1, or an ``eta`` that the scheduler doesn't know or can't take.
            RuntimeError, OSError, MemoryError: machine or model failed (out of memory, CUDA, disk).
        """
        self._check_eta(requests)
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            encoding: list[Future[ImageResult]] = []
            for batch in batches(requests, batch_size):
                made = self._make(batch)
                ready, encoding = encoding, [
                    pool.submit(_result, request, picture)
                    for request, picture in zip(batch.requests, made, strict=True)
                ]
                for future in ready:
                    yield future.result()
            for future in encoding:
                yield future.result()

    def _make(self, batch: Batch) -> list[RawPicture | Exception]:
        """Run the model on one batch; a row that fails has its exception in place of a picture."""
        return run_rows(lambda shown: self._run(batch, shown), len(batch.requests))

    def _run(self, batch: Batch, shown: frozenset[int]) -> list[RawPicture]:
        """Run the model with the rows of ``shown`` as asked and an empty prompt in the others."""
        import torch

        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            stack.enter_context(self._autocast())
            finite = stack.enter_context(FiniteRows(self.pipeline))
            window = batch.requests[0].window
            follower = stack.enter_context(TrajectoryVariance(self.pipeline.scheduler, window)) if window else None
            output = self.pipeline(**self._arguments(batch, shown))
            return _pictures(output, len(batch.requests), finite.rows, follower)

    def _arguments(self, batch: Batch, shown: frozenset[int]) -> dict[str, Any]:
        """Return the pipeline's arguments, those that it takes."""
        import torch

        rows, first = batch.rows(), batch.requests[0]
        requests = [batch.requests[row] for row in rows]
        arguments = {
            "prompt": [request.prompt if row in shown else "" for row, request in zip(rows, requests, strict=True)],
            "generator": [torch.Generator("cpu").manual_seed(request.noise_seed) for request in requests],
            "num_inference_steps": first.steps,
            "guidance_scale": first.guidance_scale,
            "height": first.height,
            "width": first.width,
            "eta": first.eta,
            "output_type": "np",
        }
        if first.negative_prompt:
            negatives = [request.negative_prompt for request in requests]
            arguments["negative_prompt"] = [
                negative if row in shown else "" for row, negative in zip(rows, negatives, strict=True)
            ]
        return {name: value for name, value in arguments.items() if name in self._accepted}

    def _check_eta(self, requests: Sequence[ImageRequest]) -> None:
        """Refuse an eta that would be ignored in silence, or give NaN."""
        takes_eta = "eta" in self._accepted and "eta" in accepted_arguments(self.pipeline.scheduler.step)
        asked = {request.eta for request in requests if request.eta}
        if asked and not takes_eta:
            raise ValueError(f"eta {asked.pop()} was asked for, but {type(self.pipeline.scheduler).__name__} in "
                             f"{type(self.pipeline).__name__} takes none; set eta to 0, or use DDIMScheduler")
        if 1.0 in asked and getattr(self.pipeline.scheduler.config, "rescale_betas_zero_snr", False):
            raise ValueError("eta 1 with a scheduler of zero terminal SNR (rescale_betas_zero_snr): its first step "
                             "takes the root of 0, and rounding can make that NaN; set eta to 0.99")

    def _autocast(self) -> Any:
        """Return the autocast context: on where the weights keep more bits than ``dtype`` has."""
        import torch

        lowered = self.dtype != weights_dtype(self.device, self.dtype)
        return torch.autocast(torch.device(self.device).type, getattr(torch, self.dtype), enabled=lowered)


def _result(request: ImageRequest, made: RawPicture | Exception) -> ImageResult:
    if isinstance(made, Exception):
        return rejected(request.sample_id, "generation_failed", f"{type(made).__name__}: {made}"[:500])
    return finish(request.sample_id, made)


def _pictures(
    output: Any, count: int, finite: list[bool], follower: TrajectoryVariance | None
) -> list[RawPicture]:
    """Return the first ``count`` rows of a pipeline's output; the rest is padding."""
    variances = follower.values() if follower else []
    note = follower.note if follower and not variances else None
    flagged = [any(flags) for flags in zip(*(_flags(output, name, count) for name in FLAGS), strict=True)]
    return [
        RawPicture(output.images[row], finite[row] if finite else True, flagged[row],
                   variances[row] if variances else None, note)
        for row in range(count)
    ]


def _flags(output: Any, name: str, count: int) -> list[bool]:
    """Return what a safety checker says of each picture; a pipeline without one says nothing."""
    found = getattr(output, name, None)
    return [False] * count if found is None else [bool(flag) for flag in found[:count]]
