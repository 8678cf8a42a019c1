"""PNGs of one batch are encoded in threads while the model makes the next one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Asked = TypeVar("Asked")
Made = TypeVar("Made")
Result = TypeVar("Result")


def encoded_behind(
    made: Iterable[tuple[Sequence[Asked], Sequence[Made]]], encode: Callable[[Asked, Made], Result]
) -> Iterator[Result]:
    """Yield ``encode(request, picture)`` of every request of ``made``, in order, one batch behind the model.

    ``made`` yields batches: requests, and what the model made of each. The model runs in the caller's thread.
    """
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        encoding: list[Future[Result]] = []
        for requests, pictures in made:
            ready, encoding = (
                encoding,
                [pool.submit(encode, request, picture) for request, picture in zip(requests, pictures, strict=True)],
            )
            for future in ready:
                yield future.result()
        for future in encoding:
            yield future.result()
