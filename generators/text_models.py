"""Loading the transformers models that write text: captioners, instruct models, sequence-to-sequence models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from generators.loading import quiet, weights_dtype
from generators.model_files import ModelFilesError


def load_config(folder: Path) -> Any:
    """Return a model's transformers config.

    Raises:
        ModelFilesError: there is none, or transformers doesn't know it.
    """
    from transformers import AutoConfig

    return _loaded(lambda: AutoConfig.from_pretrained(str(folder), local_files_only=True), folder, "AutoConfig")


def load_model(auto_class: str, folder: Path, device: str, dtype: str, allow_pickle: bool) -> Any:
    """Return the model that transformers' ``auto_class`` reads from ``folder``, on ``device``, ready to answer.

    On a GPU cuDNN is told to use deterministic algorithms only, in the whole process.

    Raises:
        ModelFilesError: transformers can't read the folder with that class.
    """
    import torch
    import transformers

    model = _loaded(
        lambda: getattr(transformers, auto_class).from_pretrained(
            str(folder), dtype=getattr(torch, weights_dtype(device, dtype)),
            use_safetensors=None if allow_pickle else True, local_files_only=True,
        ),
        folder, auto_class,
    )
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return model.to(device).eval()


def load_preprocessing(auto_class: str, folder: Path) -> Any:
    """Return the tokenizer or processor that ``auto_class`` reads from ``folder``.

    Raises:
        ModelFilesError: transformers can't read it.
    """
    import transformers

    reader = getattr(transformers, auto_class)
    return _loaded(lambda: reader.from_pretrained(str(folder), local_files_only=True), folder, auto_class)


def pad_on_the_left(tokenizer: Any) -> None:
    """Pad rows of a batch before their first token, so that each goes on at its own end."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def autocast(device: str, dtype: str) -> Any:
    """Return the autocast context: on where the weights keep more bits than ``dtype`` has."""
    import torch

    lowered = dtype != weights_dtype(device, dtype)
    return torch.autocast(torch.device(device).type, getattr(torch, dtype), enabled=lowered)


def _loaded(load: Callable[[], Any], folder: Path, auto_class: str) -> Any:
    """Call ``load`` with the libraries' progress bars off, and say which folder it was when it fails."""
    try:
        with quiet():
            return load()
    except Exception as error:  # transformers, tokenizers and safetensors raise unrelated types
        raise ModelFilesError(f"model folder {folder} can't be loaded by transformers' {auto_class}: "
                              f"{type(error).__name__}: {error}") from error
