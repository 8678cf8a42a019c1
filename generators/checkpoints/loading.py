"""Loading a pipeline with diffusers: safetensors, device, dtype, scheduler by name; and what it runs under."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairshards.generators.checkpoints.signatures import TEXT_TO_IMAGE
from fairshards.generators.checkpoints.weights import ModelFilesError, variant_of
from fairshards.generators.diffusion.schedulers import fitted

NEEDED_ARGUMENTS = ("prompt", "generator", "num_inference_steps", "output_type")
ENCODER_ARGUMENTS = ("prompt", "device", "num_images_per_prompt", "do_classifier_free_guidance", "clip_skip")


def load_pipeline(
    folder: Path,
    device: str,
    dtype: str,
    scheduler: str | None,
    allow_pickle: bool,
    kind: str = TEXT_TO_IMAGE,
    needed: Sequence[str] = NEEDED_ARGUMENTS,
) -> Any:
    """Return the diffusers pipeline in ``folder``, on ``device``, its progress bars off.

    ``kind`` is the diffusers class that loads it, ``needed`` are the arguments that its call has to take. On a
    GPU cuDNN is told to use deterministic algorithms only, in the whole process.

    Raises:
        ModelFilesError: diffusers can't read the folder, or it is no pipeline of that kind.
        ValueError: an unknown scheduler, or one that isn't reproducible or doesn't fit the model.
    """
    import diffusers
    import torch

    safe = None if allow_pickle else True
    try:
        with quiet():
            pipeline = getattr(diffusers, kind).from_pretrained(
                str(folder),
                dtype=getattr(torch, weights_dtype(device, dtype)),
                use_safetensors=safe,
                local_files_only=True,
                variant=variant_of(folder, allow_pickle=allow_pickle),
            )
    except Exception as error:  # diffusers, transformers and safetensors raise unrelated types
        raise ModelFilesError(
            f"model folder {folder} can't be loaded by {kind}: {type(error).__name__}: {error}"
        ) from error
    _check_arguments(pipeline, folder, needed)
    if scheduler is not None:
        set_scheduler(pipeline, scheduler)
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
        raise ValueError(
            f"device {device!r} was asked for, but this worker has no CUDA device; "
            "set device: cpu in the recipe, or run where there is one"
        )
    return device


def weights_dtype(device: str, dtype: str) -> str:
    """Return the dtype that weights are stored in: on a CPU float32, where autocast lowers what may be lowered."""
    return "float32" if device.startswith("cpu") else dtype


def set_scheduler(pipeline: Any, name: str) -> None:
    """Give the pipeline another scheduler, with what its model was trained with.

    Raises:
        ValueError: diffusers has none of that name, it can't be seeded, or it would read the model's output wrongly.
    """
    import diffusers

    own = pipeline.scheduler
    defaults = own.config.get("_use_default_values", ())  # where the model says nothing, another has its own
    said = {key: value for key, value in own.config.items() if key not in defaults}
    options = fitted(name, type(own).__name__, said)
    kind = getattr(diffusers, name)
    known = {key: value for key, value in said.items() if key in accepted_arguments(kind.__init__)}
    chosen = kind.from_config({**known, **options})
    within = [part for part in vars(pipeline).values() if getattr(part, "scheduler", None) is own]
    for one in (pipeline, *within):  # a combined pipeline (Kandinsky) samples in pipelines of its own
        one.scheduler = chosen


def autocast(device: str, dtype: str) -> Any:
    """Return the autocast context: on where the weights keep more bits than ``dtype`` has."""
    import torch

    lowered = dtype != weights_dtype(device, dtype)
    return torch.autocast(torch.device(device).type, getattr(torch, dtype), enabled=lowered)


def check_eta(pipeline: Any, asked: Collection[float]) -> None:
    """Refuse an eta that would be ignored in silence, or give NaN.

    Raises:
        ValueError: the scheduler knows no eta, or can't take 1.
    """
    scheduler = pipeline.scheduler
    takes_eta = "eta" in accepted_arguments(pipeline.__call__) and "eta" in accepted_arguments(scheduler.step)
    given = {eta for eta in asked if eta}
    if given and not takes_eta:
        raise ValueError(
            f"eta {given.pop()} was asked for, but {type(scheduler).__name__} in "
            f"{type(pipeline).__name__} takes none; set eta to 0, or use DDIMScheduler"
        )
    if 1.0 in given and getattr(scheduler.config, "rescale_betas_zero_snr", False):
        raise ValueError(
            "eta 1 with a scheduler of zero terminal SNR (rescale_betas_zero_snr): its first step "
            "takes the root of 0, and rounding can make that NaN; set eta to 0.99"
        )


def is_stable_diffusion(pipeline: Any) -> bool:
    """Tell whether the pipeline has a U-Net that one text encoder conditions, as Stable Diffusion 1 and 2."""
    encode = getattr(pipeline, "encode_prompt", None)
    if not hasattr(pipeline, "unet") or encode is None or hasattr(pipeline, "text_encoder_2"):
        return False
    return accepted_arguments(encode).issuperset(ENCODER_ARGUMENTS)


def is_guided(pipeline: Any) -> bool:
    """Tell whether the pipeline's guidance is two U-Net rows a sample, with and without the prompt.

    A U-Net that was distilled from guidance (an LCM) takes the scale as an input and has one.
    """
    distilled = getattr(pipeline.unet.config, "time_cond_proj_dim", None) is not None
    return not distilled and "negative_prompt" in accepted_arguments(pipeline.__call__)


@contextmanager
def seeded_steps(pipeline: Any, generators: Sequence[Any]) -> Iterator[None]:
    """Hand the samples' noise generators to the scheduler's ``step``, where the pipeline doesn't do it itself.

    Pipelines of flow matching give their generators to the first noise alone; a scheduler that draws more
    (FlowMatchLCMScheduler, ``stochastic_sampling``) would take it from a source that nobody seeds.
    """
    scheduler = pipeline.scheduler
    step, before = scheduler.step, scheduler.__dict__.get("step")
    if "generator" not in accepted_arguments(step):
        yield
        return

    @functools.wraps(step)
    def seeded(*args: Any, **kwargs: Any) -> Any:
        return step(*args, **({"generator": generators} | kwargs))

    scheduler.step = seeded
    try:
        yield
    finally:
        del scheduler.step
        if before is not None:
            scheduler.step = before


def takes_of(pipeline: Any) -> dict[str, Any]:
    """Return the arguments of the pipeline's call, with their defaults."""
    found = inspect.signature(pipeline.__call__).parameters
    return {name: None if one.default is one.empty else one.default for name, one in found.items()}


def accepted_arguments(function: Any) -> frozenset[str]:
    """Return the names of the keyword arguments that ``function`` takes."""
    return frozenset(inspect.signature(function).parameters)


def _check_arguments(pipeline: Any, folder: Path, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in accepted_arguments(pipeline.__call__)]
    if missing:
        raise ModelFilesError(
            f"{type(pipeline).__name__} in {folder} takes no {', '.join(missing)}; fairshards needs {', '.join(needed)}"
        )


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
