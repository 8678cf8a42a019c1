"""Statistics of a sample's trajectory that could tell samples off support: all high for what moves late.

Each takes the predicted x0 (n, steps, c, h, w) of the steps that count, and returns (n,).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from fairshards.pipeline.run.progress import Reporter

Values = npt.NDArray[np.float64]
Statistic = Callable[[Tensor], Tensor]


def variance_map(x0: Tensor) -> Tensor:
    """Return the population variance over steps, the mean over channels: (n, h, w)."""
    return x0.float().var(1, correction=0).mean(1)


def mean(x0: Tensor) -> Tensor:
    """Return the paper's: the mean over all coordinates."""
    return variance_map(x0).flatten(1).mean(1)


def pooled(size: int) -> Statistic:
    """Return the maximum of the variance map after averaging over squares of ``size``."""

    def largest(x0: Tensor) -> Tensor:
        return avg_pool2d(variance_map(x0)[:, None], size, 1).flatten(1).amax(1)

    return largest


def top(share: float) -> Statistic:
    """Return the mean over the ``share`` of places that move most."""

    def highest(x0: Tensor) -> Tensor:
        values = variance_map(x0).flatten(1)
        return values.topk(max(1, round(share * values.shape[1])), 1).values.mean(1)

    return highest


def deviation(x0: Tensor) -> Tensor:
    """Return the mean absolute deviation from the mean over steps (L1 in place of L2)."""
    kept = x0.float()
    return (kept - kept.mean(1, keepdim=True)).abs().flatten(1).mean(1)


def peak_norm(x0: Tensor) -> Tensor:
    """Return the largest deviation of any coordinate from its mean over steps (L-infinity)."""
    kept = x0.float()
    return (kept - kept.mean(1, keepdim=True)).abs().flatten(1).amax(1)


def path(x0: Tensor) -> Tensor:
    """Return how far x0 moves step by step, the mean over coordinates."""
    return x0.float().diff(dim=1).square().mean(1).flatten(1).mean(1)


def relative(x0: Tensor) -> Tensor:
    """Return the maximum of the pooled variance map over the final x0's own variation in space there: texture divided
    out.
    """
    last = x0[:, -1].float()
    local = avg_pool2d(last.square(), 3, 1) - avg_pool2d(last, 3, 1).square()
    moved = avg_pool2d(variance_map(x0)[:, None], 3, 1)[:, 0]
    return (moved / (local.mean(1) + 0.1)).flatten(1).amax(1)


PLAIN: dict[str, Statistic] = {
    "mean": mean,
    "max of 3x3": pooled(3),
    "max of 5x5": pooled(5),
    "top 5%": top(0.05),
    "L1": deviation,
    "L-infinity": peak_norm,
    "path": path,
    "relative to texture": relative,
}


def in_object(x0: Tensor, mask: Tensor) -> Tensor:
    """Return the mean variance inside a mask (n, h, w) in [0, 1] of the object."""
    found = variance_map(x0)
    return (found * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1.0)


def share_in_object(x0: Tensor, mask: Tensor) -> Tensor:
    """Return the share of all variance that lies inside the mask."""
    found = variance_map(x0)
    return (found * mask).flatten(1).sum(1) / found.flatten(1).sum(1)


def max_in_object(x0: Tensor, mask: Tensor) -> Tensor:
    """Return the maximum of the 3x3-pooled variance map inside the mask."""
    found = avg_pool2d((variance_map(x0) * mask)[:, None], 3, 1)
    return found.flatten(1).amax(1)


IN_OBJECT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean in object": in_object,
    "share in object": share_in_object,
    "max of 3x3 in object": max_in_object,
}


def windows(steps: int) -> list[tuple[int, int]]:
    """Return the windows [start, stop) of steps that are compared: the last k, and earlier ones."""
    last = [(steps - k, steps) for k in (2, 3, 5, 8, 10, 12, 15)]
    return [*last, (2, 7), (4, 9), (5, 10), (5, 15), (8, 13), (10, 15)]


def every(x0: Tensor, masks: Tensor, decode: Callable[[Tensor], Tensor], report: Reporter) -> dict[str, Values]:
    """Return all statistics over all windows by name, "where: statistic, steps a to b".

    ``masks`` (n, h, w) in [0, 1] show the objects; ``decode`` turns latents (n, c, h, w) into pictures.
    """
    found: dict[str, Values] = {}
    shrunk = interpolate(masks[:, None].float(), x0.shape[-2:], mode="area")[:, 0]
    for start, stop in windows(x0.shape[1]):
        for name, statistic in PLAIN.items():
            found[f"latent: {name}, steps {start + 1} to {stop}"] = _array(statistic(x0[:, start:stop]))
        for name, inside in IN_OBJECT.items():
            found[f"latent: {name}, steps {start + 1} to {stop}"] = _array(inside(x0[:, start:stop], shrunk))
    parts: list[dict[str, Tensor]] = []
    for rows, mask in zip(torch.split(x0, 64), torch.split(masks.float(), 64), strict=True):
        report.say(f"statistics of decoded trajectories: {64 * len(parts)} of {len(x0)}")
        seen = torch.stack([decode(rows[:, step].float()) for step in range(x0.shape[1])], 1)
        part = {}
        for start, stop in windows(x0.shape[1]):
            for name, statistic in PLAIN.items():
                part[f"decoded: {name}, steps {start + 1} to {stop}"] = statistic(seen[:, start:stop])
            for name, inside in IN_OBJECT.items():
                part[f"decoded: {name}, steps {start + 1} to {stop}"] = inside(seen[:, start:stop], mask)
        parts.append(part)
    return found | {name: _array(torch.cat([part[name] for part in parts])) for name in parts[0]}


def _array(values: Tensor) -> Any:
    return values.double().numpy()
