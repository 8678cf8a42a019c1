"""What a scheduler remembers between steps, by row of the batch, so that rows can change their batch half-way.

Many schedulers remember nothing but a step's number (DDIM, DDPM, Euler); multi-step solvers keep the model's last
outputs, one tensor for the whole batch (PNDM, DPM-Solver++, UniPC). What such a tensor holds of a row can be taken out
and put together with other rows' at the same step. Anything else (a noise process of the whole batch, as in
DPM-Solver SDE) can't be, and is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

PLAIN = (int, float, str, bool, type(None))
NOT_STATE = ("step", "set_timesteps", "scale_model_input", "timesteps", "_internal_dict")
"""Hooks, what ``set_timesteps`` makes of the number of steps, and the config."""

State = Mapping[str, Any]


def remembered(scheduler: Any) -> dict[str, Any]:
    """Return the scheduler's attributes; lists and tuples are copied, since steps change them in place."""
    return {
        name: list(value) if isinstance(value, list | tuple) else value
        for name, value in vars(scheduler).items()
        if name not in NOT_STATE
    }


@contextmanager
def fresh(pipeline: Any) -> Iterator[Any]:
    """Give the pipeline a new scheduler of the same settings for a while, in which no earlier run left anything."""
    own = pipeline.scheduler
    pipeline.scheduler = type(own).from_config(own.config)
    try:
        yield pipeline.scheduler
    finally:
        pipeline.scheduler = own


def state_since(scheduler: Any, before: State, rows: int) -> dict[str, Any]:
    """Return what must be set again in a new scheduler to go on: what changed since ``before``.

    Raises:
        ValueError: something that changed can't be told apart by the batch's ``rows``.
    """
    found = {
        name: value
        for name, value in remembered(scheduler).items()
        if name not in before or not _same(value, before[name])
    }
    for name, value in found.items():
        if wrong := [part for part in (value if isinstance(value, list) else [value]) if not _by_row(part, rows)]:
            raise ValueError(
                f"{type(scheduler).__name__} can't be used for pruning in flight: it keeps {name} "
                f"({type(wrong[0]).__name__}), which can't be told apart by sample; name a generator.scheduler such as "
                "DDIMScheduler, EulerDiscreteScheduler or DPMSolverMultistepScheduler"
            )
    return found


def rows_of(states: Sequence[tuple[State, int]]) -> dict[str, Any]:
    """Return the state of a new batch: row i is row ``number`` of the i-th (state, number).

    Raises:
        ValueError: the states are of different steps.
    """
    return {name: _gathered(name, [(state[name], number) for state, number in states]) for name in states[0][0]}


def _gathered(name: str, parts: Sequence[tuple[Any, int]]) -> Any:
    import torch

    first = parts[0][0]
    if isinstance(first, list):
        return [_gathered(name, [(values[place], number) for values, number in parts]) for place in range(len(first))]
    if isinstance(first, torch.Tensor) and first.ndim:
        return torch.stack([values[number] for values, number in parts])
    if any(not _same(values, first) for values, _ in parts):
        raise ValueError(f"rows at different steps can't share a batch: the scheduler's {name} differs")
    return first


def _by_row(value: Any, rows: int) -> bool:
    import torch

    if isinstance(value, torch.Tensor):
        return value.ndim == 0 or value.shape[0] == rows
    return isinstance(value, PLAIN)


def _same(first: Any, second: Any) -> bool:
    import torch

    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return first is second or (first.ndim == second.ndim == 0 and bool(first == second))
    return first is second or (isinstance(first, PLAIN) and type(first) is type(second) and bool(first == second))
