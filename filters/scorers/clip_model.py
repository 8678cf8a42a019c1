"""An open_clip model with its own preprocessing and tokenizer, checked before it is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from fairshards.filters.scorers.golden import check_golden
from fairshards.generators.checkpoints.loading import resolve_device
from fairshards.generators.checkpoints.model_files import ModelFilesError, resolve_model

if TYPE_CHECKING:
    from PIL import Image

CONFIG = "open_clip_config.json"
CACHED_TEXTS = 4096
USUAL_SCALE = 100.0
"""By how much CLIP models multiply cosines before the softmax, unless they say otherwise."""
Embedding = npt.NDArray[np.float32]


def resolve_clip(name: str | Path, *, offline: bool | None = None, allow_pickle: bool = False) -> Path:
    """Return the folder of a CLIP model.

    ``name`` is a folder (also ``local-dir:FOLDER``), a hub id, or open_clip's ``ARCHITECTURE::TAG``, for example
    ``ViT-B-32::laion2b_s34b_b79k``, which is looked up in open_clip's table and fetched from the hub.

    Raises:
        ModelFilesError: it isn't there, has no safe weights, or lacks its config or preprocessing.
    """
    text = str(name)
    folder = resolve_model(_hub_id(text) if "::" in text else text, offline=offline, allow_pickle=allow_pickle)
    _check_config(folder)
    return folder


@dataclass(frozen=True)
class Scale:
    """How a model turns cosines into probabilities: a factor, and the bias of one that was trained with a sigmoid."""

    factor: float = USUAL_SCALE
    bias: float | None = None

    @classmethod
    def of(cls, log_factor: float, bias: float | None) -> Self:
        """Return the scale that a model's ``logit_scale`` and ``logit_bias`` mean; rounding of ln(100) is none."""
        factor = math.exp(log_factor)
        return cls(USUAL_SCALE if abs(factor - USUAL_SCALE) < 1e-3 else factor, bias)


def stored_scale(folder: Path) -> Scale | None:
    """Return the scale that a folder's weights hold; None where they are pickled or don't say."""
    for file in sorted(folder.glob("*.safetensors")):
        log_factor = _stored_number(file, "logit_scale")
        if log_factor is not None:
            return Scale.of(log_factor, _stored_number(file, "logit_bias"))
    return None


def _stored_number(file: Path, name: str) -> float | None:
    """Return the number that weights hold under a name, read without torch but for bfloat16, which numpy lacks."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        if name not in opened.keys():  # noqa: SIM118
            return None
        if opened.get_slice(name).get_dtype() != "BF16":
            return float(opened.get_tensor(name).reshape(-1)[0])
    with safe_open(file, framework="pt") as opened:
        return float(opened.get_tensor(name).reshape(-1)[0])


class ClipModel:
    """Embeds pictures and texts; embeddings have length 1, so that a dot product is a cosine.

    Everything runs in float32, so that scores hardly depend on the device.
    """

    def __init__(self, model: Any, preprocess: Any, tokenizer: Any, device: str, batch_size: int) -> None:
        self.model = model
        self.preprocess = preprocess
        self.tokenizer = tokenizer
        self.device = device
        self.batch_size = batch_size
        self.embed_text = lru_cache(maxsize=CACHED_TEXTS)(self._embed_text)

    @classmethod
    def load(cls, name: str | Path, *, device: str = "auto", batch_size: int = 32, allow_pickle: bool = False) -> Self:
        """Load a model and check its golden embedding where the folder has one.

        Raises:
            ModelFilesError: see ``resolve_clip``; or open_clip can't read it; or the golden embedding differs.
            ValueError: a device that this machine doesn't have, or ``batch_size`` below 1.
        """
        import open_clip

        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        folder, where = resolve_clip(name, allow_pickle=allow_pickle), resolve_device(device)
        try:
            model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=where)
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        except Exception as error:  # open_clip, safetensors and transformers raise unrelated types
            raise ModelFilesError(
                f"CLIP folder {folder} can't be loaded by open_clip: {type(error).__name__}: {error}"
            ) from error
        loaded = cls(model.eval(), preprocess, tokenizer, where, batch_size)
        check_golden(folder, lambda image: loaded.embed_images([image])[0])
        return loaded

    @cached_property
    def scale(self) -> Scale:
        """The model's own scale."""
        factor, bias = getattr(self.model, "logit_scale", None), getattr(self.model, "logit_bias", None)
        if factor is None:
            return Scale()
        return Scale.of(
            float(factor.detach().reshape(-1)[0]), None if bias is None else float(bias.detach().reshape(-1)[0])
        )

    def embed_images(self, images: Sequence[Image.Image]) -> Embedding:
        """Return (len(images), d) float32 embeddings, made in batches padded to ``batch_size``."""
        import torch

        parts = [np.zeros((0, 0), np.float32)] if not images else []
        for start in range(0, len(images), self.batch_size):
            part = list(images[start : start + self.batch_size])
            pixels = [self.preprocess(image) for image in part]
            pixels += [pixels[-1]] * (self.batch_size - len(part))
            with torch.inference_mode():
                made = self.model.encode_image(torch.stack(pixels).to(self.device), normalize=True)
            parts.append(made[: len(part)].float().cpu().numpy())
        return np.concatenate(parts)

    def embed_wordings(self, wordings: Sequence[str]) -> Embedding:
        """Return the (d,) embedding of one thing said in several ways: the mean, brought to length 1."""
        mean = np.mean([self.embed_text(wording) for wording in wordings], axis=0)
        made: Embedding = (mean / np.linalg.norm(mean)).astype(np.float32)
        return made

    def _embed_text(self, text: str) -> Embedding:
        """Return the (d,) embedding of a text, always in a batch of one: what came before can't change it."""
        import torch

        with torch.inference_mode():
            made = self.model.encode_text(self.tokenizer([text]).to(self.device), normalize=True)
        embedding: Embedding = made[0].float().cpu().numpy()
        return embedding


def _hub_id(text: str) -> str:
    """Return the hub id of open_clip's ``ARCHITECTURE::TAG``."""
    import open_clip

    architecture, _, tag = text.partition("::")
    found = open_clip.get_pretrained_cfg(architecture, tag).get("hf_hub", "").strip("/")
    if not found:
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        raise ModelFilesError(
            f"open_clip has no weights {tag!r} for {architecture!r} on the hub; "
            f"its tags: {', '.join(tags) or 'none, the architecture is unknown'}"
        )
    return str(found)


def _check_config(folder: Path) -> None:
    """Refuse bare weights: open_clip would give them default preprocessing without a word."""
    config = folder / CONFIG
    if not config.is_file():
        raise ModelFilesError(
            f"CLIP folder {folder} has weights but no {CONFIG}, so its preprocessing is unknown; "
            "add the config that open_clip wrote, with model_cfg and preprocess_cfg"
        )
    try:
        keys = set(json.loads(config.read_text()))
    except ValueError as error:
        raise ModelFilesError(f"{config} is not valid JSON: {error}") from error
    if not {"model_cfg", "preprocess_cfg"} <= keys:
        raise ModelFilesError(f"{config} has {sorted(keys)}; expected model_cfg and preprocess_cfg")
