"""What a pipeline was taught beside its own weights: new tokens (textual inversion) and a LoRA.

A prompt with ``<waterbird>`` means something only where that token was loaded. A tokenizer that doesn't know it
would split it into letters without a word, so such a prompt is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from fairshards.extras import check_extra
from fairshards.generators.checkpoints.loading import is_stable_diffusion, quiet
from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.diffusion.requests import ImageRequest

EMBEDDINGS, LORA = "learned_embeds.safetensors", "pytorch_lora_weights.safetensors"
NEW_WORD = re.compile(r"<[^<>\s]+>")


def add_personal(pipeline: Any, folders: Sequence[str | Path]) -> None:
    """Load each folder's learned embeddings or LoRA into the pipeline; of LoRAs there may be one.

    Raises:
        ModelFilesError: a folder holds neither file, or one that diffusers can't load into this pipeline.
        ValueError: two LoRAs, two folders for one token, or a pipeline that takes none.
    """
    taught = [_weights(Path(folder)) for folder in folders]
    loras = [file for file in taught if file.name == LORA]
    if len(loras) > 1:
        raise ValueError(
            f"{len(loras)} LoRAs were asked for ({', '.join(str(file.parent) for file in loras)}); "
            "a pipeline takes one, since each changes the same layers"
        )
    embeddings = {file: _token(file) for file in taught if file.name == EMBEDDINGS}
    _check_embeddings(pipeline, list(embeddings.values()))
    for file, token in embeddings.items():
        _load(file, pipeline.load_textual_inversion, token=token)
    for file in loras:
        if not hasattr(pipeline, "load_lora_weights"):
            raise ValueError(f"{type(pipeline).__name__} takes no LoRA ({file.parent})")
        check_extra("personal", "a pipeline with a LoRA")
        _load(file, pipeline.load_lora_weights)


def check_new_words(pipeline: Any, requests: Sequence[ImageRequest]) -> None:
    """Refuse a ``<word>`` of a prompt, or of what is not to be drawn, that the tokenizer would split.

    Raises:
        ValueError: there is one; the message names it and its sample.
    """
    tokenizer: Any = getattr(pipeline, "tokenizer", None)
    if tokenizer is None:
        return
    first = {word: request.sample_id for request in reversed(requests) for word in _new_words(request)}
    for word, sample_id in first.items():
        if [piece.lower() for piece in tokenizer.tokenize(word)] != [word.lower()]:
            raise ValueError(
                f"sample {sample_id}: the prompt has {word}, which the tokenizer doesn't know and would "
                "split into letters; load what taught it (personal), or write a plain word"
            )


def in_plain_words(prompt: str, name: str) -> str:
    """Return a prompt with ``name`` in place of new words, for a model that wasn't taught them."""
    return NEW_WORD.sub(lambda _: name, prompt)  # a plain replacement would read the backslashes of a name


def _new_words(request: ImageRequest) -> Iterator[str]:
    negatives = [negative.prompt for negative in request.negatives]
    for text in (request.prompt, request.negative_prompt or "", *negatives):
        yield from NEW_WORD.findall(text)


def _weights(folder: Path) -> Path:
    found = [folder / name for name in (EMBEDDINGS, LORA) if (folder / name).is_file()]
    if len(found) != 1:
        raise ModelFilesError(
            f"personal folder {folder} must hold {EMBEDDINGS} or {LORA}, one of them; it holds "
            f"{'both' if found else 'neither'}; was its training finished?"
        )
    return found[0]


def _token(file: Path) -> str:
    try:
        with safe_open(file, framework="pt") as opened:
            tokens = list(opened.keys())
    except (OSError, SafetensorError) as error:
        raise ModelFilesError(f"{file} can't be read: {error}; personalise again") from error
    if len(tokens) != 1:
        raise ModelFilesError(f"{file} holds {len(tokens)} tensors; learned embeddings have one, named for its token")
    return str(tokens[0])


def _check_embeddings(pipeline: Any, tokens: Sequence[str]) -> None:
    if tokens and not (is_stable_diffusion(pipeline) and hasattr(pipeline, "load_textual_inversion")):
        raise ValueError(
            f"{type(pipeline).__name__} takes no learned embeddings ({', '.join(tokens)}); it must be of "
            "the Stable Diffusion family, with one text encoder"
        )
    twice = [token for token, times in Counter(tokens).items() if times > 1]
    if twice:
        raise ValueError(f"token {twice[0]} is taught by two of the personal folders; load one of them")


def _load(file: Path, load: Any, **more: Any) -> None:
    try:
        with quiet(), _errors_only():
            load(str(file.parent), weight_name=file.name, use_safetensors=True, local_files_only=True, **more)
    except Exception as error:  # diffusers, peft and safetensors raise unrelated types
        raise ModelFilesError(f"{file} can't be loaded into this pipeline: {type(error).__name__}: {error}") from error


@contextmanager
def _errors_only() -> Iterator[None]:
    """Silence transformers' warning that a new token's row is random: it is set right after."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
