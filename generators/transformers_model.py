"""Loading a transformers model with its processor: local files, safetensors, evaluation mode, float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from generators.loading import quiet, resolve_device
from generators.model_files import ModelFilesError, resolve_model

T = TypeVar("T")


def load_model(model: str | Path, kind: str, device: str, *, allow_pickle: bool = False) -> tuple[Any, Any, str]:
    """Return the model that transformers' class ``kind`` loads, its processor, and the resolved device.

    It runs in float32, so that thresholds hardly depend on the device. transformers gives weights that a folder
    lacks random values and only logs it; here that is an error.

    Raises:
        ModelFilesError: it isn't there, has no safe weights, is of another kind, or lacks its processor.
        ValueError: a device that this machine doesn't have.
    """
    import torch
    import transformers

    folder, where = resolve_model(model, allow_pickle=allow_pickle), resolve_device(device)
    try:
        with quiet():
            loaded, said = getattr(transformers, kind).from_pretrained(
                str(folder), dtype=torch.float32, use_safetensors=None if allow_pickle else True,
                local_files_only=True, output_loading_info=True,
            )
            processor = transformers.AutoProcessor.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers, safetensors and tokenizers raise unrelated types
        raise ModelFilesError(f"model folder {folder} can't be loaded by {kind}: "
                              f"{type(error).__name__}: {error}") from error
    if missing := sorted(said["missing_keys"]):
        raise ModelFilesError(
            f"model folder {folder} lacks {len(missing)} weights of {kind}, the first is {missing[0]}; "
            "it holds another kind of model, or is damaged"
        )
    return loaded.to(where).eval(), processor, where


def padded(rows: Sequence[T], size: int) -> Iterator[tuple[list[T], int]]:
    """Yield ``rows`` in batches of ``size``, the last one repeated to fill its batch, and how many of each are real.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"batch_size is {size}; it must be at least 1")
    for start in range(0, len(rows), size):
        part = list(rows[start : start + size])
        yield part + [part[-1]] * (size - len(part)), len(part)
