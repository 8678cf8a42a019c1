"""Which shares of (y, s) a constrained generator is asked for.

The information constraint is on the pair that a reader of the cohort sees, the label and the prediction:
I((Y, Yhat); S) = I(Y; S) + I(Yhat; S | Y) by the chain rule. The second term is the generator's loss; the first is a
matter of which (y, s) it is asked for, and has a closed form: of all q with the data's marginals the one that minimises
KL(q || p) + lambda KL(q || p_y p_s) is q ~ p^(1 / (1 + lambda)) (p_y p_s)^(lambda / (1 + lambda)), scaled to these.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
ROUNDS = 200


def joint_shares(y: NDArray[np.int64], s: NDArray[np.int64], classes: int, groups: int) -> Shares:
    """Return float64[classes, groups], the shares of (y, s) among rows; sums to 1."""
    counts = np.zeros((classes, groups))
    np.add.at(counts, (y, s), 1.0)
    shares: Shares = counts / counts.sum()
    return shares


def constrained_joint(joint: Shares, lam: float) -> Shares:
    """Return the shares at a constraint's weight: ``joint`` at 0, towards independence of y and s as it grows.

    Both marginals stay; a pair that the data lacks stays empty.
    """
    label, group = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    weight = 1.0 / (1.0 + lam)
    with np.errstate(divide="ignore"):
        found = np.where(joint > 0, np.exp(weight * np.log(joint) + (1 - weight) * np.log(label * group)), 0.0)
    for _ in range(ROUNDS):
        found *= label / found.sum(1, keepdims=True)
        found *= group / found.sum(0, keepdims=True)
    scaled: Shares = found / found.sum()
    return scaled


def information(joint: Shares) -> float:
    """Return I(Y; S) of shares, in nats."""
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nansum(np.where(joint > 0, joint * np.log(joint / apart), 0.0)))
