"""Loading transformers models: local files, safetensors, evaluation mode; a folder that lacks weights is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from fairshards.generators.checkpoints.loading import quiet, resolve_device, weights_dtype
from fairshards.generators.checkpoints.model_files import resolve_model
from fairshards.generators.checkpoints.weights import ModelFilesError, variant_of

T = TypeVar("T")


def load_model(model: str | Path, kind: str, device: str, *, allow_pickle: bool = False) -> tuple[Any, Any, str]:
    """Return the model that transformers' class ``kind`` loads, its processor, and the resolved device.

    It runs in float32, so that thresholds hardly depend on the device.

    Raises:
        ModelFilesError: it isn't there, has no safe weights, is of another kind, or lacks its processor.
        ValueError: a device that this machine doesn't have.
    """
    folder, where = resolve_model(model, allow_pickle=allow_pickle), resolve_device(device)
    loaded = load_weights(kind, folder, where, "float32", allow_pickle)
    return loaded, load_preprocessing("AutoProcessor", folder), where


def load_weights(kind: str, folder: Path, device: str, dtype: str, allow_pickle: bool) -> Any:
    """Return the model that transformers' class ``kind`` reads from ``folder``, on ``device``, ready to answer.

    transformers gives weights that a folder lacks random values and only logs it; here that is an error. On a GPU
    cuDNN is told to use deterministic algorithms only, in the whole process.

    Raises:
        ModelFilesError: transformers can't read the folder with that class, or the folder lacks weights.
    """
    import torch
    import transformers

    model, said = _loaded(
        lambda: getattr(transformers, kind).from_pretrained(
            str(folder),
            dtype=getattr(torch, weights_dtype(device, dtype)),
            local_files_only=True,
            use_safetensors=None if allow_pickle else True,
            output_loading_info=True,
            variant=variant_of(folder, allow_pickle=allow_pickle),
        ),
        folder,
        kind,
    )
    if missing := sorted(said["missing_keys"]):
        raise ModelFilesError(
            f"model folder {folder} lacks {len(missing)} weights of {kind}, the first is {missing[0]}; "
            "it holds another kind of model, or is damaged"
        )
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    return model.to(device).eval()


def load_preprocessing(kind: str, folder: Path) -> Any:
    """Return the config, tokenizer or processor that transformers' class ``kind`` reads from ``folder``.

    Raises:
        ModelFilesError: there is none, or transformers doesn't know it.
    """
    import transformers

    reader = getattr(transformers, kind)
    return _loaded(lambda: reader.from_pretrained(str(folder), local_files_only=True), folder, kind)


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


def _loaded(load: Callable[[], Any], folder: Path, kind: str) -> Any:
    """Call ``load`` with the libraries' progress bars off, and say which folder it was when it fails."""
    try:
        with quiet():
            return load()
    except Exception as error:  # transformers, tokenizers and safetensors raise unrelated types
        raise ModelFilesError(
            f"model folder {folder} can't be loaded by transformers' {kind}: {type(error).__name__}: {error}"
        ) from error
