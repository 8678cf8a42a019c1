"""What a text model is asked: a conversation; and asking many of them, in fixed batches, through the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from fairshards.generators.language.answer_cache import AnswerCache, answer_key

Part = Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One turn: who speaks ("system", "user", "assistant") and what: a text, or parts (a text, a picture)."""

    role: str
    content: str | tuple[Part, ...]


@dataclass(frozen=True)
class Conversation:
    """One request.

    Attributes:
        messages: The turns so far; a chat model answers the last one.
        plain: What a sequence-to-sequence model gets in their place.
        seed: Of the row's own noise, where the model samples.
        schema: The JSON schema of the answer, for models that can be held to one; None: any text.
    """

    messages: tuple[Message, ...]
    plain: str = ""
    seed: int = 0
    schema: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def content(self) -> dict[str, Any]:
        """What the answer rests on, as plain values; a schema only where there is one."""
        said = asdict(self)
        return said if self.schema is not None else {name: value for name, value in said.items() if name != "schema"}


NEUTRAL = Conversation((Message("user", "Say yes."),), "a photo")
"""A request that no model has a reason to refuse."""


class TextModel(Protocol):
    """A model that answers conversations, on this machine or behind an endpoint.

    Attributes:
        identity: What decides its answers beside the conversation: weights or endpoint, decoding. Never a key.
        batch_size: How many conversations it sees at once; their answers may depend on each other's length.
        concurrency: How many batches may be under way at once.
        chats: Whether it follows a conversation, so that a second question can correct the first answer.
    """

    @property
    def identity(self) -> Mapping[str, Any]: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def chats(self) -> bool: ...

    def answer(self, conversations: Sequence[Conversation]) -> list[str | Exception]:
        """Return the answers of one batch; what one conversation alone causes stands in its place.

        An answer that the limit on tokens stopped is a ``CutAnswer``.
        """


def ask(
    model: TextModel,
    conversations: Sequence[Conversation],
    cache: AnswerCache | None = None,
    neutral: Conversation | None = NEUTRAL,
) -> list[str | Exception]:
    """Return one answer a conversation, in order; a conversation that can't be answered has its exception.

    The list is cut into batches of the model's size. The cache keeps the answers of a whole batch under all that
    was in it, so that what a row gets never depends on which of its neighbours were known before.

    Raises:
        Exception: an error of machine, endpoint or set-up; and, where every conversation failed, the first one's
            when ``neutral`` fails as well: then no conversation is to blame. None: that isn't tried, for those that
            are asked again after others were answered.
    """
    batches = [
        conversations[start : start + model.batch_size] for start in range(0, len(conversations), model.batch_size)
    ]
    keys = [answer_key(model.identity, [conversation.content for conversation in batch]) for batch in batches]
    different = dict(zip(keys, batches, strict=True))  # equal batches are asked once
    found = _in_parallel(model, different, cache)
    answers = [answer for key in keys for answer in found[key]]
    if neutral is not None:
        _check_the_model(model, answers, neutral)
    return answers


def _in_parallel(
    model: TextModel, batches: Mapping[str, Sequence[Conversation]], cache: AnswerCache | None
) -> dict[str, list[str | Exception]]:
    def one(key: str) -> list[str | Exception]:
        return _answer(model, key, batches[key], cache)

    if model.concurrency == 1:
        return {key: one(key) for key in batches}
    with ThreadPoolExecutor(model.concurrency) as pool:
        return dict(zip(batches, pool.map(one, batches), strict=True))


def _answer(
    model: TextModel, key: str, batch: Sequence[Conversation], cache: AnswerCache | None
) -> list[str | Exception]:
    known = cache.get(key, len(batch)) if cache else None
    if known is not None:
        return list(known)
    answers = model.answer(batch)
    texts = [answer for answer in answers if isinstance(answer, str)]
    if cache and len(texts) == len(answers):
        cache.put(key, texts)
    return answers


def _check_the_model(model: TextModel, answers: Sequence[str | Exception], neutral: Conversation) -> None:
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    if failed and len(failed) == len(answers) and isinstance(model.answer([neutral])[0], Exception):
        raise RuntimeError(f"the model answers nothing, not even {neutral.plain!r}: {failed[0]}") from failed[0]
