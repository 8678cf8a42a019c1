"""Loading a text-to-image pipeline with diffusers: safetensors, device, dtype, scheduler by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from generators.model_files import ModelFilesError

UNSEEDED_SCHEDULERS = ("DPMSolverSDEScheduler",)
"""Draw noise in ``step`` from a source that per-sample generators can't seed."""
NEEDED_ARGUMENTS = ("prompt", "generator", "num_inference_steps", "output_type")


def load_pipeline(folder: Path, device: str, dtype: str, scheduler: str | None, allow_pickle: bool) -> Any:
    """Return the diffusers pipeline in ``folder``, on ``device``, its progress bars off.

    On a GPU cuDNN is told to use deterministic algorithms only, in the whole process.

    Raises:
        ModelFilesError: diffusers can't read the folder, or it is no text-to-image pipeline.
        ValueError: an unknown scheduler, or one that isn't reproducible.
    """
    import torch
    from diffusers import AutoPipelineForText2Image

    safe = None if allow_pickle else True
    try:
        with quiet():
            pipeline = AutoPipelineForText2Image.from_pretrained(
                str(folder), dtype=getattr(torch, weights_dtype(device, dtype)), use_safetensors=safe,
                local_files_only=True,
            )
    except Exception as error:  # diffusers, transformers and safetensors raise unrelated types
        raise ModelFilesError(f"model folder {folder} can't be loaded by AutoPipelineForText2Image: "
                              f"{type(error).__name__}: {error}") from error
    _check_arguments(pipeline, folder)
    if scheduler is not None:
        pipeline.scheduler = scheduler_class(scheduler).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return pipeline.to(device)


def resolve_device(device: str) -> str:
    """Return the device's name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        ValueError: a CUDA device that this machine doesn't have.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} was asked for, but this worker has no CUDA device; "
                         "set device: cpu in the recipe, or run where there is one")
    return device


def weights_dtype(device: str, dtype: str) -> str:
    """Return the dtype that weights are stored in: on a CPU float32, where autocast lowers what may be lowered."""
    return "float32" if device.startswith("cpu") else dtype


def scheduler_class(name: str) -> Any:
    """Return the diffusers scheduler class of that name.

    Raises:
        ValueError: there is none, or it draws noise that can't be seeded per sample.
    """
    import diffusers

    names = [entry for entry in dir(diffusers) if entry.endswith("Scheduler") and "Flax" not in entry]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.3)
        raise ValueError(f"scheduler {name!r} is not one of diffusers'; did you mean {', '.join(near)}?")
    if name in UNSEEDED_SCHEDULERS:
        raise ValueError(f"scheduler {name!r} draws noise that can't be seeded per sample, so its pictures "
                         "can't be made again; choose another, for example EulerAncestralDiscreteScheduler")
    return getattr(diffusers, name)


def accepted_arguments(function: Any) -> frozenset[str]:
    """Return the names of the keyword arguments that ``function`` takes."""
    return frozenset(inspect.signature(function).parameters)


def _check_arguments(pipeline: Any, folder: Path) -> None:
    missing = [name for name in NEEDED_ARGUMENTS if name not in accepted_arguments(pipeline.__call__)]
    if missing:
        raise ModelFilesError(f"{type(pipeline).__name__} in {folder} takes no {', '.join(missing)}; "
                              "fairshards needs a prompt and one generator a sample")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' progress bars while a model is loaded."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    libraries = [library for library in (of_diffusers, of_transformers) if library.is_progress_bar_enabled()]
    for library in libraries:
        library.disable_progress_bar()
    try:
        yield
    finally:
        for library in libraries:
            library.enable_progress_bar()
