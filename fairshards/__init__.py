"""fairshards: balanced, spurious-free synthetic shards from a biased dataset, and the trainers that use them.

>>> import fairshards as fs
>>> run = fs.run("pocket-waterbirds", until="curate", set={"quota.per_group": 50})  # doctest: +SKIP
>>> run.balance(), run.explain("3fa2"), run.dataset("balanced")  # doctest: +SKIP

What is named here is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairshards.api import Run, open_run, run
    from fairshards.filters.base import CalibratedFilter, Filter
    from fairshards.pipeline.kinds import Kind
    from fairshards.trainers.tables.synthesizer import BtGanSynthesizer as BtGan
    from fairshards.transforms.sources.base import SourceReader

_PLACES = {
    "BtGan": "fairshards.trainers.tables.synthesizer:BtGanSynthesizer",
    "CalibratedFilter": "fairshards.filters.base:CalibratedFilter",
    "Filter": "fairshards.filters.base:Filter",
    "Kind": "fairshards.pipeline.kinds:Kind",
    "Run": "fairshards.api:Run",
    "SourceReader": "fairshards.transforms.sources.base:SourceReader",
    "open_run": "fairshards.api:open_run",
    "run": "fairshards.api:run",
}

__all__ = ["BtGan", "CalibratedFilter", "Filter", "Kind", "Run", "SourceReader", "open_run", "run"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'fairshards' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
