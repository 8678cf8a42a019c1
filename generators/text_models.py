"""What the transformers models that write text share: where and how they run, and how they decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from generators.loading import autocast
from generators.sampling import Decoding, decoding_arguments


class TextWriter:
    """A loaded transformers model that writes text.

    Attributes:
        device, dtype: Where and in which number format it runs, resolved ("cpu", "float32").
    """

    def __init__(self, model: Any, decoding: Decoding, device: str, dtype: str) -> None:
        self.model = model
        self.decoding = decoding
        self.device = device
        self.dtype = dtype

    def write(self, inputs: Any, seeds: Sequence[int]) -> Any:
        """Return the tokens (rows, length) that the model writes to the preprocessed ``inputs``, a seed a row."""
        import torch

        kind = self.model.dtype  # pictures come as float32
        given = {name: value.to(kind) if value.is_floating_point() else value
                 for name, value in inputs.to(self.device).items()}  # fmt: skip
        with torch.inference_mode(), autocast(self.device, self.dtype):
            return self.model.generate(**given, **decoding_arguments(self.decoding, seeds))


def pad_on_the_left(tokenizer: Any) -> None:
    """Pad rows of a batch before their first token, so that each goes on at its own end."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
