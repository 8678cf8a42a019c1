"""A transformers language model on this machine: an instruct model with a chat template, or sequence to sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from fairshards.generators.checkpoints.isolation import run_rows
from fairshards.generators.checkpoints.loading import resolve_device
from fairshards.generators.checkpoints.model_files import ModelFilesError, library_versions, resolve_model
from fairshards.generators.checkpoints.model_files import fingerprint as files_fingerprint
from fairshards.generators.checkpoints.precision import resolve_dtype
from fairshards.generators.checkpoints.transformers_model import load_preprocessing, load_weights
from fairshards.generators.language.constrained import Grammar
from fairshards.generators.language.conversation import NEUTRAL, Conversation, Message
from fairshards.generators.language.sampling import Decoding
from fairshards.generators.language.text_models import TextWriter, pad_on_the_left


class LanguageModel(TextWriter):
    """Answers conversations in padded batches of one size.

    A model whose config says ``is_encoder_decoder`` (T5, BART) reads ``Conversation.plain`` and nothing else; any
    other reads the conversation through its tokenizer's chat template. One that chats can be held to the schemas of
    its conversations (``constrained``); a sequence-to-sequence model has learnt its own form.

    Attributes:
        chats: Whether it follows a conversation.
        identity: What decides its answers: the fingerprint of its files, device, dtype, batch size, decoding.
    """

    concurrency = 1

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        decoding: Decoding,
        *,
        batch_size: int,
        fingerprint: str,
        device: str = "cpu",
        dtype: str = "float32",
        constrained: str = "",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        super().__init__(model, decoding, device, dtype)
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.chats = not model.config.is_encoder_decoder
        self.identity: Mapping[str, Any] = {
            "model": fingerprint,
            "device": device,
            "dtype": dtype,
            "batch_size": batch_size,
            **vars(decoding),
        }
        self._grammar: Grammar | None = None
        if self.chats:
            pad_on_the_left(tokenizer)
        if self.chats and constrained:
            self._grammar = Grammar(tokenizer, model.config.get_text_config().vocab_size, self.ends)
            self.identity = {**self.identity, "constrained": constrained}

    @classmethod
    def load(
        cls,
        model: str | Path,
        decoding: Decoding,
        *,
        batch_size: int = 8,
        fingerprint: str = "",
        device: str = "auto",
        dtype: str = "auto",
        allow_pickle: bool = False,
        constrained: str = "",
    ) -> Self:
        """Load a folder or hub id. ``fingerprint`` stands for its files in the cache of answers; "" is worked out.

        ``constrained`` names the library that holds answers to their schemas, as ``installed_version`` does; "": none.

        Raises:
            ModelFilesError: no such model, weights missing, only pickled ones without ``allow_pickle``, or a model
                that is neither sequence to sequence nor has a chat template.
            ValueError: a device or dtype that can't be had here, or ``batch_size`` below 1.
        """
        folder = resolve_model(model, allow_pickle=allow_pickle)
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where, folder)
        tokenizer = load_preprocessing("AutoTokenizer", folder)
        if load_preprocessing("AutoConfig", folder).is_encoder_decoder:
            auto_class = "AutoModelForSeq2SeqLM"
        else:
            auto_class = "AutoModelForCausalLM"
            _check_template(tokenizer, folder)
        loaded = load_weights(auto_class, folder, where, kind, allow_pickle)
        files = fingerprint or files_fingerprint(folder, library_versions())
        return cls(
            loaded,
            tokenizer,
            decoding,
            batch_size=batch_size,
            fingerprint=files,
            device=where,
            dtype=kind,
            constrained=constrained,
        )

    def answer(self, conversations: Sequence[Conversation]) -> list[str | Exception]:
        """Return the answers to at most ``batch_size`` conversations; a row that fails has its exception.

        Raises:
            ValueError: no conversation, or more than ``batch_size``.
            RuntimeError, OSError, MemoryError: machine or model failed.
        """
        if not 1 <= len(conversations) <= self.batch_size:
            raise ValueError(f"a batch of {self.batch_size} rows got {len(conversations)} conversations")
        return run_rows(lambda shown: self._run(conversations, shown), len(conversations))

    def _run(self, conversations: Sequence[Conversation], shown: frozenset[int]) -> list[str]:
        """Run the model with the rows of ``shown`` as asked, a neutral question in the others, and padding rows."""
        rows = [each if row in shown else NEUTRAL for row, each in enumerate(conversations)]
        rows += [rows[-1]] * (self.batch_size - len(rows))
        inputs = self._inputs(rows)
        prompt = inputs["input_ids"].shape[1] if self.chats else 1  # a decoder begins with a token of its own
        held = self._grammar.processor([row.schema for row in rows], prompt) if self._grammar else None
        new = self.write(inputs, [row.seed for row in rows], held)[:, prompt:]
        texts = self.marked(self.tokenizer.batch_decode(new, skip_special_tokens=True), new, self.tokenizer)
        return texts[: len(conversations)]

    def _inputs(self, rows: Sequence[Conversation]) -> Any:
        if not self.chats:
            plain = [row.plain for row in rows]
            return self.tokenizer(plain, padding=True, return_tensors="pt", return_token_type_ids=False)
        texts = [apply_template(self.tokenizer, row.messages) for row in rows]
        return self.tokenizer(
            texts, padding=True, return_tensors="pt", add_special_tokens=False, return_token_type_ids=False
        )


def apply_template(templated: Any, messages: Sequence[Message]) -> str:
    """Return a conversation as the model's own text, ready for the answer.

    ``templated`` is a tokenizer or processor. A template that knows no system turn gets that text at the beginning
    of the first user turn.
    """
    from jinja2 import TemplateError

    try:
        return _template(templated, messages)
    except TemplateError:
        first, second, *rest = messages
        if first.role != "system" or not isinstance(first.content, str) or not isinstance(second.content, str):
            raise
        return _template(templated, (Message(second.role, f"{first.content}\n\n{second.content}"), *rest))


def _template(templated: Any, messages: Sequence[Message]) -> str:
    turns = [
        {"role": m.role, "content": m.content if isinstance(m.content, str) else [dict(p) for p in m.content]}
        for m in messages
    ]
    thinks = "enable_thinking" in str(templated.chat_template)  # an answer is wanted, not how it came about
    choice = {"enable_thinking": False} if thinks else {}
    return str(templated.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **choice))


def _check_template(tokenizer: Any, folder: Path) -> None:
    if not getattr(tokenizer, "chat_template", None):
        raise ModelFilesError(
            f"the tokenizer in {folder} has no chat template, so it isn't known how to ask this "
            "model; give an instruct model, or put its chat_template.jinja into the folder; a plain "
            "sequence-to-sequence model (T5, BART) needs none"
        )
