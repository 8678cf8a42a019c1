"""Ctrl-C and SIGTERM: what was asked is remembered, so that no library can turn it into an error of its own.

Beam catches whatever a step raises, KeyboardInterrupt too, and raises a RuntimeError that tells of it.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

SENTENCE = "interrupted; the same command goes on where it stopped"
_received: list[int] = []


def listen() -> None:
    """From now on both signals raise KeyboardInterrupt in the main thread, and ``received`` tells of them."""
    driver = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != driver:  # a forked child, e.g. a data loader's: it ends as if we had never listened
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        _received.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # also where a script's background job ignores SIGINT
        signal.signal(number, interrupt)


def received() -> bool:
    """Tell whether somebody asked for an end."""
    return bool(_received)


def asked_by(error: BaseException) -> bool:
    """Tell whether an error is how an interruption reached us."""
    return received() or isinstance(error, KeyboardInterrupt) or str(error).startswith("KeyboardInterrupt")


def exit_code() -> int:
    """Return what a shell expects of a process that ended so: 130, or 143 for SIGTERM."""
    return 128 + (_received[0] if _received else signal.SIGINT)
