"""What a model sent back: an answer, whole or cut; of an endpoint also what is wrong, in one line, by kind of fault."""

from __future__ import annotations

from typing import Any


class CutAnswer(str):
    """The beginning of an answer: the model was stopped by ``max_new_tokens`` before it came to an end."""


class EndpointError(RuntimeError):
    """An endpoint can't be used, or gave no answer: an error of machine or set-up, never of a sample."""


class TransientError(EndpointError):
    """A fault that may pass: too many requests, a server error, a broken connection. ``wait``: seconds asked for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedRequest(ValueError):
    """One request that the endpoint won't answer, and another might be: ``reason`` and a sentence in ``detail``.

    ``form`` tells that the request was turned down as a request (status 400, 413 or 422), not by the model.
    """

    def __init__(self, reason: str, detail: str, *, form: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.form = form


def content_of(response: Any) -> str:
    """Return the text of a chat completion, from the HTTP response of status 200 that should hold one.

    What was stopped by the limit on tokens is a ``CutAnswer``, empty where all of them went into thoughts.

    Raises:
        EndpointError: the response is no JSON, or JSON of something else.
        TransientError: its JSON ends early.
        RefusedRequest: the model declined, was stopped by a content filter, or said nothing.
    """
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    text = response.text
    if kind == "text/html" or text.lstrip()[:1] == "<":
        raise EndpointError(
            f"it answers with a web page ({kind or 'no content type'}, beginning {text[:60]!r}) where "
            "JSON was expected; check base_url, which usually ends in /v1, and any proxy or login"
        )
    try:
        choice = response.json()["choices"][0]
        message = choice["message"]
        finish, content, refusal = choice.get("finish_reason"), message.get("content"), message.get("refusal")
    except ValueError as error:
        raise TransientError(f"its answer is no whole JSON ({error}): {text[:60]!r}") from None
    except (LookupError, TypeError, AttributeError):
        raise EndpointError(f"its answer is no chat completion: {text[:200]!r}; is {response.url} one?") from None
    return _said(content, refusal, finish)


def _said(content: Any, refusal: Any, finish: Any) -> str:
    if refusal:
        raise RefusedRequest("refused", f"the model declined: {str(refusal)[:300]}")
    if finish == "content_filter":
        raise RefusedRequest("refused", "the endpoint's content filter stopped the answer")
    if finish == "length":
        return CutAnswer(content if isinstance(content, str) else "")
    if not isinstance(content, str) or not content.strip():
        raise RefusedRequest("empty_answer", f"the model said nothing (finish_reason {finish!r})")
    return content
