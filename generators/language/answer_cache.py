"""Answers of text models on disk, so that no finished request is paid for twice, in this run or another.

One small JSON file a batch, named by the SHA-256 of model, conversations and settings. A file holds the answers, which
of them were cut, and nothing of what was asked; keys of endpoints are in neither.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.generators.language.replies import CutAnswer

VERSION = "answers/1"


def answer_key(identity: Mapping[str, Any], conversations: Sequence[Mapping[str, Any]]) -> str:
    """Return 64 hex digits that stand for a model and a batch of conversations."""
    asked = {"version": VERSION, "model": dict(identity), "conversations": list(conversations)}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_file(path: str) -> bytes | None:
    """Return a local file's bytes, or None where there is none."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def write_file(path: str, data: bytes) -> None:
    """Write a local file under a temporary name and rename it: a reader sees all of it or nothing."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class AnswerCache:
    """A folder of answers that any number of processes may read and write at once.

    Two that ask the same at the same time write the same file, and the last one stands. A file that is damaged
    counts as not there, and is written again.

    Attributes:
        folder: Where the files lie; ``read`` and ``write`` know the file system (a local one unless told).
    """

    folder: str
    read: Callable[[str], bytes | None] = read_file
    write: Callable[[str, bytes], None] = write_file

    def get(self, key: str, count: int) -> list[str] | None:
        """Return the ``count`` answers kept under ``key``, or None."""
        data = self.read(self._path(key))
        if data is None:
            return None
        try:
            kept = json.loads(data)
            answers, cut = kept["answers"], frozenset(kept.get("cut", ()))
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        usable = isinstance(answers, list) and len(answers) == count and all(isinstance(a, str) for a in answers)
        return [CutAnswer(answer) if row in cut else answer for row, answer in enumerate(answers)] if usable else None

    def put(self, key: str, answers: Sequence[str]) -> None:
        """Keep the answers of a batch.

        Raises:
            OSError: the folder can't be written.
        """
        cut = [row for row, answer in enumerate(answers) if isinstance(answer, CutAnswer)]
        kept = {"answers": list(answers), **({"cut": cut} if cut else {})}
        self.write(self._path(key), json.dumps(kept).encode())

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key[:2]}/{key}.json"
