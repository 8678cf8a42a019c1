"""Integrated gradients: what each part of a change did to a function's value (Sundararajan et al. 2017).

DDB's second pruning condition asks for it: did an edit work where it was meant to?
See docs/methods.md#attribution-inside-the-mask.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 32


def integrated_gradients(
    function: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, steps: int = STEPS
) -> Tensor:
    """Return (end_k - start_k) times the mean of df/dx_k on the straight way from ``start`` to ``end``.

    The mean is taken at the middles of ``steps`` equal parts (midpoint rule), in one batch. The sum over all k comes
    to f(end) - f(start) (completeness): exactly for a linear f, else up to the rule's error.

    Args:
        function: Takes float (steps, *shape), one point a row, to (steps,); rows don't depend on each other.
        start, end: Float tensors of one shape.

    Raises:
        ValueError: ``steps`` is below 1, or the shapes differ.
    """
    if steps < 1 or start.shape != end.shape:
        raise ValueError(
            f"integrated gradients need at least 1 step and two points of one shape, got {steps} steps, "
            f"{tuple(start.shape)} and {tuple(end.shape)}"
        )
    middles = (torch.arange(steps, device=start.device) + 0.5) / steps
    points = start + middles.view(-1, *(1 for _ in start.shape)) * (end - start)
    points.requires_grad_(True)
    with torch.enable_grad():
        (gradients,) = torch.autograd.grad(function(points).sum(), points)
    return (end - start) * gradients.mean(0)
