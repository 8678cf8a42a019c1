"""Sending a request again: bounded, with growing waits, and as long as the server asks for."""

from __future__ import annotations

import email.utils
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fairshards.generators.language.replies import EndpointError, RefusedRequest, TransientError

REFUSALS = (400, 413, 422)
"""Statuses that say that this one request can't be answered."""
TRANSIENT = (408, 409, 425, 429)
"""Statuses below 500 that may pass."""


@dataclass(frozen=True)
class Retries:
    """How often a request is sent at most, the first wait (it doubles), and the longest wait, in seconds.

    A server that asks for more than ``longest_wait`` (Retry-After) isn't waited for.

    Raises:
        ValueError: no attempt at all, or a negative wait.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_wait < 0 or self.longest_wait < 0:
            raise ValueError(f"retries need at least 1 attempt and waits of 0 or more, got {self}")


def with_retries(send: Callable[[], str], retries: Retries, sleep: Callable[[float], None] = time.sleep) -> str:
    """Return what ``send`` returns, calling it again after faults that may pass.

    Raises:
        EndpointError: another fault, the last attempt's, or a wait that is too long.
        RefusedRequest: the endpoint won't answer this request.
    """
    for attempt in range(1, retries.attempts + 1):
        try:
            return _explained(send)
        except TransientError as error:
            if attempt == retries.attempts:
                raise EndpointError(f"{error} (after {attempt} attempts)") from None
            sleep(_wait(error, attempt, retries))
    raise AssertionError("unreachable")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait: Retry-After as seconds or as a date; None: it doesn't say."""
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        parsed = email.utils.parsedate_tz(text)
        seconds = email.utils.mktime_tz(parsed) - time.time() if parsed else math.nan
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _explained(send: Callable[[], str]) -> str:
    """Call ``send`` and turn the client's errors into ours, which hold no request and so no key."""
    import openai

    try:
        return send()
    except openai.APITimeoutError:
        raise TransientError("it didn't answer in time; raise timeout, or ask less at once") from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise TransientError(f"no connection, or it broke off ({type(cause).__name__}: {cause})") from None
    except openai.APIStatusError as error:
        raise _of_status(error) from None
    except openai.OpenAIError as error:
        raise EndpointError(f"{type(error).__name__}: {str(error)[:300]}") from None


def _of_status(error: Any) -> EndpointError | RefusedRequest:
    """Return our error for a status of 400 and above."""
    status, said = error.status_code, _body(error)
    if status in REFUSALS:
        return RefusedRequest("refused", f"status {status}: {said}", form=True)
    if status == 429 and "insufficient_quota" in said:
        return EndpointError(f"the account's quota is used up: {said}")
    if status in TRANSIENT or status >= 500:
        return TransientError(f"status {status}: {said}", retry_after(error.response.headers))
    hint = {401: "is the key right?", 403: "may this key use the model?", 404: "are base_url and model right?"}
    return EndpointError(f"status {status}: {said}; {hint.get(status, 'check base_url')}")


def _body(error: Any) -> str:
    """Return the beginning of what came with a status, on one line."""
    text = " ".join(error.response.text.split())
    return text[:300] or "no explanation"


def _wait(error: TransientError, attempt: int, retries: Retries) -> float:
    """Return the seconds to wait before the next attempt.

    Raises:
        EndpointError: the server asks for more than is waited for.
    """
    if error.wait is not None and error.wait > retries.longest_wait:
        raise EndpointError(
            f"{error}; it asks to wait {error.wait:.0f} s, more than longest_wait "
            f"({retries.longest_wait:.0f} s); run again later, what is finished is kept"
        )
    if error.wait is not None:
        return error.wait
    grown: float = min(retries.first_wait * 2 ** (attempt - 1), retries.longest_wait)
    return grown * random.uniform(0.75, 1.0)  # so that many workers don't come back at one moment
