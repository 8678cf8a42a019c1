"""What the transformers models that write text share: where and how they run, and how they decode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairshards.generators.checkpoints.loading import autocast
from fairshards.generators.language.replies import CutAnswer
from fairshards.generators.language.sampling import Decoding, decoding_arguments


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

    @property
    def ends(self) -> list[int]:
        """The tokens with which the model ends a text; none for a model that never does."""
        said = self.model.generation_config.eos_token_id
        return [] if said is None else [said] if isinstance(said, int) else list(said)

    def write(self, inputs: Any, seeds: Sequence[int], constraint: Any = None) -> Any:
        """Return the tokens (rows, length) that the model writes to the preprocessed ``inputs``, a seed a row.

        ``constraint`` is a logits processor that takes away what may not stand next.
        """
        import torch

        kind = self.model.dtype  # pictures come as float32
        given = {
            name: value.to(kind) if value.is_floating_point() else value
            for name, value in inputs.to(self.device).items()
        }
        with torch.inference_mode(), autocast(self.device, self.dtype):
            return self.model.generate(**given, **decoding_arguments(self.decoding, seeds, constraint))

    def marked(self, texts: Sequence[str], new: Any, tokenizer: Any) -> list[str]:
        """Return the rows' texts; one was cut, a ``CutAnswer``, whose ``new`` tokens (rows, length) reach no end.

        An end is also what a tokenizer knows as such: a checkpoint's settings don't always name what stops it (BLIP).
        """
        import torch

        if new.shape[1] < self.decoding.max_new_tokens:
            return list(texts)
        known = [getattr(tokenizer, f"{name}_token_id", None) for name in ("eos", "sep", "pad")]
        ends = torch.tensor([*self.ends, *(one for one in known if one is not None)], device=new.device)
        whole = torch.isin(new, ends).any(dim=1).tolist()
        return [text if ended else CutAnswer(text) for text, ended in zip(texts, whole, strict=True)]


def pad_on_the_left(tokenizer: Any) -> None:
    """Pad rows of a batch before their first token, so that each goes on at its own end."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
