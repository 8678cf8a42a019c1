"""What an error says of an unknown name: the nearest known one, then all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], before: str = "") -> str:
    """Return " (did you mean 'x'?); known: ..."; ``before`` replaces "known: "."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{hint}; {before or 'known: '}{', '.join(names)}"
