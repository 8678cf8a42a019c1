"""Trajectory variance, the mode-interpolation metric (arXiv 2406.09358; docs/methods.md#trajectory-variance).

Population variance of the predicted x0 over the last k model calls of a sampling run, averaged over all
coordinates: one number a sample, high for hallucinations. It is followed in running form (Welford) by a hook on
the scheduler's ``step``: no second pass, and two tensors of memory whatever k is.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fairshards.generators.diffusion.predicted_x0 import predicted_x0

if TYPE_CHECKING:
    import torch


class TrajectoryVariance:
    """Follows one run of a diffusers scheduler, from ``set_timesteps`` to its last step.

    ``window`` is k: the last k entries of ``scheduler.timesteps`` count, that is the last k model calls (solvers
    of second order make two a step); with more than there are, all count. ``begin`` is how many calls an earlier run
    has made, which this one goes on from. Inside the ``with`` the
    scheduler returns exactly what it returns outside.

    Attributes:
        note: Why there are no values, where there are none.
    """

    def __init__(self, scheduler: Any, window: int, begin: int = 0) -> None:
        if window < 1:
            raise ValueError(f"window is {window}; the variance needs at least 1 step")
        self.scheduler = scheduler
        self.window = window
        self.note: str | None = None
        self._calls = begin
        self._count = 0
        self._mean: torch.Tensor | None = None
        self._squares: torch.Tensor | None = None

    def __enter__(self) -> Self:
        """Hook the scheduler's ``step``."""
        self._before = self.scheduler.__dict__.get("step")
        self.scheduler.step = self._hooked(self.scheduler.step)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore ``step``, whatever happened."""
        del self.scheduler.step
        if self._before is not None:
            self.scheduler.step = self._before

    def values(self) -> list[float | None]:
        """Return the variance of each row of the batch, >= 0; None where it isn't finite.

        An empty list means that nothing was followed; ``note`` says why.
        """
        if self._squares is None:
            self.note = self.note or "the scheduler's step was not called in the window"
            return []
        rows = (self._squares / self._count).flatten(1).mean(dim=1).tolist()
        return [row if math.isfinite(row) else None for row in rows]

    def _hooked(self, step: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(step)

        @functools.wraps(step)
        def follow(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs)
            as_tuple = not call.arguments.get("return_dict", True)
            call.arguments["return_dict"] = True
            result = step(*call.args, **call.kwargs)
            if self._in_window():
                self._follow(result, call.arguments)
            self._calls += 1
            return result.to_tuple() if as_tuple else result

        return follow

    def _in_window(self) -> bool:
        """Tell whether this call is one of the last ``window``."""
        begin = getattr(self.scheduler, "begin_index", None) or 0
        return self._calls + begin >= len(self.scheduler.timesteps) - self.window

    def _follow(self, result: Any, call: dict[str, Any]) -> None:
        x0 = predicted_x0(self.scheduler, result, call["model_output"], call["timestep"], call["sample"])
        if x0 is None:
            self.note = f"{type(self.scheduler).__name__} doesn't tell its predicted x0"
            return
        self.add(x0.float())

    def add(self, x0: torch.Tensor) -> None:
        """Add one predicted x0 (rows, ...) to the running mean and sum of squared deviations (Welford, float32)."""
        self._count += 1
        if self._mean is None or self._squares is None:
            self._mean, self._squares = x0.clone(), x0.new_zeros(x0.shape)
            return
        delta = x0 - self._mean
        self._mean.add_(delta, alpha=1 / self._count)
        self._squares.addcmul_(delta, x0 - self._mean)
