"""A model behind an OpenAI-compatible endpoint (vLLM, a llama.cpp server, a hosted one), through the openai client."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fairshards.generators.language.conversation import Conversation
from fairshards.generators.language.replies import CutAnswer, EndpointError, RefusedRequest, content_of
from fairshards.generators.language.retries import Retries, with_retries
from fairshards.generators.language.sampling import Decoding

__all__ = ["Endpoint", "EndpointError", "EndpointSettings", "RefusedRequest"]

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_SEEDS = 2**31
"""Servers take seeds below this."""


@dataclass(frozen=True)
class EndpointSettings:
    """Where an endpoint is and how it is asked. Holds no key, only the name of the variable that does.

    Attributes:
        base_url: What stands before ``/chat/completions``, for example ``http://localhost:8000/v1``.
        model: The model's name there.
        key_variable: The environment variable, on the worker, that holds the key, in capitals; None: it needs none.
        revision: Anything that tells apart two models that are served under one name; it counts for the cache.
        timeout: Seconds that the endpoint may stay silent.
        retries: How often and how patiently a request that failed is sent again.
        concurrency: Requests that are under way at once.
        extra: Further fields of the request's body, as (name, value); a value of None takes a field out, for
            example ("temperature", None) for a model that knows no temperature.

    Raises:
        ValueError: a URL with a password or without http, a key where the name of a variable is meant.
    """

    base_url: str
    model: str
    key_variable: str | None = None
    revision: str = ""
    timeout: float = 120.0
    retries: Retries = field(default_factory=Retries)
    concurrency: int = 4
    extra: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url {self.base_url!r} is no http address; give one like http://localhost:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError(
                f"base_url of {parts.hostname} holds a user, password or query; put the key into an "
                "environment variable and its name into key_variable"
            )
        if self.key_variable is not None and not _VARIABLE.fullmatch(self.key_variable):
            raise ValueError(
                "key_variable is no name of an environment variable in capitals; write the variable's "
                "name there, for example OPENAI_API_KEY, never the key itself"
            )
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}; it must be at least 1")

    @property
    def identity(self) -> dict[str, Any]:
        """What stands for the model: its name, revision and extra fields. Where it is served doesn't count."""
        return {"model": self.model, "revision": self.revision, "extra": [list(pair) for pair in self.extra]}


class Endpoint:
    """Answers conversations by asking an endpoint, one a request.

    A key is read from the environment when the first request is sent; it is in no message, no log and no answer.

    Attributes:
        takes_schemas: Whether the endpoint takes a ``response_format`` of kind json_schema; None: not known yet. It is
            found out with the first conversation that has a schema, and holds for all that follow. Where ``extra``
            says what ``response_format`` is, or that there is none, that stands, and nothing is found out.
    """

    batch_size = 1
    chats = True

    def __init__(self, settings: EndpointSettings, decoding: Decoding) -> None:
        self.settings = settings
        self.decoding = decoding
        self.takes_schemas: bool | None = None
        self._client: Any = None
        self._key = ""
        self._connecting = threading.Lock()

    @property
    def concurrency(self) -> int:
        """Requests that may be under way at once."""
        return self.settings.concurrency

    @property
    def identity(self) -> dict[str, Any]:
        """What decides an answer beside the conversation: the model and the decoding."""
        return {**self.settings.identity, **vars(self.decoding), "schema": None}  # kept answers are found under this

    def answer(self, conversations: Sequence[Conversation]) -> list[str | Exception]:
        """Return the answer to each conversation; one that the endpoint refuses has a ``RefusedRequest``.

        Raises:
            EndpointError: no key, no such model, no right, no JSON, or no answer after all retries.
        """
        return [self._answer(conversation) for conversation in conversations]

    def _answer(self, conversation: Conversation) -> str | Exception:
        try:
            answer = self._with_or_without_schema(conversation)
            plain = self._plain(answer)
            return CutAnswer(plain) if isinstance(answer, CutAnswer) else plain
        except RefusedRequest as error:
            return RefusedRequest(error.reason, self._plain(error.detail))
        except EndpointError as error:
            raise EndpointError(self._plain(f"endpoint {self.settings.base_url}: {error}")) from None

    def _with_or_without_schema(self, conversation: Conversation) -> str:
        """Return the answer; while it isn't known whether schemas are taken, a refusal is tried again without one.

        Raises:
            RefusedRequest: refused in both forms, or in the one that is known to be taken.
        """

        def asked(schema: Mapping[str, Any] | None) -> str:
            return with_retries(lambda: self._send(conversation, schema), self.settings.retries)

        told = "response_format" in dict(self.settings.extra)
        if conversation.schema is None or self.takes_schemas is False or told:
            return asked(None)
        try:
            answer = asked(conversation.schema)
        except RefusedRequest as error:
            if self.takes_schemas or not error.form:
                raise
            answer = _or_else(lambda: asked(None), error)
            self.takes_schemas = False
            return answer
        self.takes_schemas = True
        return answer

    def _send(self, conversation: Conversation, schema: Mapping[str, Any] | None) -> str:
        """Send one request, once."""
        client = self._connect()
        response = client.chat.completions.with_raw_response.create(
            messages=[{"role": m.role, "content": _content(m.content)} for m in conversation.messages],
            **self._body(conversation, schema),
        )
        return content_of(response.http_response)

    def _body(self, conversation: Conversation, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the request's body without its messages."""
        body: dict[str, Any] = {
            "model": self.settings.model,
            "max_tokens": self.decoding.max_new_tokens,
            "temperature": self.decoding.temperature,
        }
        if self.decoding.temperature > 0:
            body |= {"top_p": self.decoding.top_p, "seed": conversation.seed % _SEEDS}
        if schema is not None:
            form = {"name": "phrases", "strict": True, "schema": dict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        body |= dict(self.settings.extra)
        known = {name: value for name, value in body.items() if value is not None}
        fields = ("model", "max_tokens", "temperature", "top_p", "seed", "response_format")
        further = {name: value for name, value in known.items() if name not in fields}
        named = {name: value for name, value in known.items() if name in fields}
        return {**named, "extra_body": further} if further else named

    def _connect(self) -> Any:
        """Return the client, made at the first request; the key never leaves it."""
        with self._connecting:
            if self._client is None:
                import openai

                self._key = _key(self.settings.key_variable)
                self._client = openai.OpenAI(
                    base_url=self.settings.base_url,
                    api_key=self._key or "none",
                    max_retries=0,
                    timeout=self.settings.timeout,
                )
            return self._client

    def _plain(self, text: str) -> str:
        """Return ``text`` as UTF-8 can hold it, and without the key, should the endpoint have sent that back."""
        valid = text.encode(errors="replace").decode()
        return valid.replace(self._key, "***") if self._key else valid


def _or_else(send: Callable[[], str], first: RefusedRequest) -> str:
    """Return what ``send`` returns; where it is refused as well, the form wasn't the reason, and ``first`` stands."""
    try:
        return send()
    except RefusedRequest:
        raise first from None


def _content(content: str | tuple[Mapping[str, Any], ...]) -> Any:
    return content if isinstance(content, str) else [dict(part) for part in content]


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EndpointError(
            f"the environment variable {variable} is not set on this worker; set it to the key, or "
            "leave key_variable out for an endpoint that needs none"
        )
    return key
