"""How long a request waits before it is sent again: doubling, up to the longest wait, or as long as the server asks."""

from __future__ import annotations

import random

import pytest

from fairshards.generators.language.replies import EndpointError, TransientError
from fairshards.generators.language.retries import Retries, with_retries


def waits(retries: Retries, *faults: TransientError) -> list[float]:
    """Return the waits of a request that fails so often and is then answered."""
    left, slept = list(faults), []

    def send() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    assert with_retries(send, retries, slept.append) == "answer"
    return slept


@pytest.mark.parametrize(
    ("longest_wait", "expected"), [(100.0, [2.0, 4.0, 8.0, 16.0]), (5.0, [2.0, 4.0, 5.0, 5.0]), (0.0, [0.0] * 4)]
)
def test_waits_double_up_to_the_longest(
    monkeypatch: pytest.MonkeyPatch, longest_wait: float, expected: list[float]
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    assert waits(Retries(5, 2.0, longest_wait), *[TransientError("busy")] * 4) == expected


def test_many_workers_do_not_come_back_at_one_moment() -> None:
    slept = [waits(Retries(2, 2.0), TransientError("busy"))[0] for _ in range(50)]
    assert all(1.5 <= wait <= 2.0 for wait in slept) and len(set(slept)) > 40


def test_a_server_is_waited_for_as_long_as_it_asks_up_to_the_longest_wait() -> None:
    assert waits(Retries(3, 0.5, 7.0), TransientError("busy", 7.0), TransientError("busy", 0.0)) == [7.0, 0.0]
    with pytest.raises(EndpointError, match=r"asks to wait 8 s, more than longest_wait \(7 s\)"):
        waits(Retries(3, 0.5, 7.0), TransientError("busy", 7.5))


def test_the_last_fault_is_told_with_the_attempts_and_not_waited_after() -> None:
    slept: list[float] = []

    def send() -> str:
        raise TransientError("status 503: busy")

    with pytest.raises(EndpointError, match=r"status 503: busy \(after 3 attempts\)"):
        with_retries(send, Retries(3, 0.0), slept.append)
    assert slept == [0.0, 0.0]


def test_a_default_waits_at_most_two_minutes() -> None:
    assert (Retries().attempts, Retries().first_wait, Retries().longest_wait) == (6, 0.5, 120.0)


@pytest.mark.parametrize("settings", [(0, 1.0, 1.0), (1, -1.0, 1.0), (1, 1.0, -1.0)])
def test_retries_that_make_no_sense_are_refused(settings: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="at least 1 attempt and waits of 0 or more"):
        Retries(*settings)


def test_one_attempt_without_a_wait_is_allowed() -> None:
    assert Retries(1, 0.0, 0.0).attempts == 1
