"""Textual inversion (docs/methods.md#textual-inversion): a new token whose embedding alone is trained.

The token's row is a parameter of its own that stands in for one row of the text encoder's table. So the
optimiser never sees the other rows, and none has to be put back after a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairshards.generators.diffusion.personal import EMBEDDINGS
from fairshards.trainers.core.checkpoint import save_weights
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.personal.learner import Learner
from fairshards.trainers.personal.settings import Concept, PersonaliseSettings


class TaughtEmbedding(nn.Module):
    """A table of embeddings with one token more, ``token_id``, whose row [1, d] is trained."""

    def __init__(self, table: nn.Module, row: nn.Parameter, token_id: int) -> None:
        super().__init__()
        self.table, self.row, self.token_id = table, row, token_id

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings of token ids: int64 [...] to [..., d]."""
        taught = ids == self.token_id
        known: Tensor = self.table(ids.masked_fill(taught, 0))
        return torch.where(taught.unsqueeze(-1), self.row.to(known.dtype), known)


def new_token(pipeline: Any, concept: Concept, settings: PersonaliseSettings) -> Learner:
    """Add the concept's token to the pipeline's tokenizer and text encoder, and return what is to be trained.

    Raises:
        TrainerError: the tokenizer knows the token already, or a prompt is so long that the token is cut off.
    """
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    table = encoder.get_input_embeddings()
    row = nn.Parameter(first_row(tokenizer, table, settings.init_words or concept.class_word))
    if not tokenizer.add_tokens(concept.token):
        raise TrainerError(f"token {concept.token!r} is in the tokenizer already; choose another")
    token_id = tokenizer.convert_tokens_to_ids(concept.token)
    prompts = settings.prompts(concept)
    _check_prompts(tokenizer, prompts, token_id)
    encoder.set_input_embeddings(TaughtEmbedding(table, row, token_id))

    def write(folder: Path, metadata: Mapping[str, str]) -> Path:
        save_weights(folder / EMBEDDINGS, {concept.token: row}, metadata)
        return folder / EMBEDDINGS

    return Learner(prompts, nn.ParameterList([row]), write)


def first_row(tokenizer: Any, table: nn.Module, words: str) -> Tensor:
    """Return the mean embedding of the words' tokens, float32 [1, d]."""
    ids = tokenizer(words, add_special_tokens=False, return_tensors="pt").input_ids
    if not ids.numel():
        raise TrainerError(f"init words {words!r} have no token; name words that the tokenizer knows")
    with torch.no_grad():
        rows: Tensor = table(ids.to(next(table.parameters()).device))
    return rows[0].float().mean(0, keepdim=True)


def _check_prompts(tokenizer: Any, prompts: Sequence[str], token_id: int) -> None:
    """Check that each prompt's tokens, cut to the text encoder's length, hold the new one."""
    length = tokenizer.model_max_length
    for prompt in prompts:
        if token_id not in tokenizer(prompt, truncation=True, max_length=length).input_ids:
            raise TrainerError(
                f"prompt {prompt!r} loses its new token: it is cut to {length} tokens, and this "
                "tokenizer may write unknown words as several; give shorter templates"
            )
