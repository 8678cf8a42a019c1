"""Mutual information of a classifier's prediction with the protected attribute, as a differentiable plug-in estimate.

p(yhat, s) = 1/n sum_i C(x_i)_yhat [s_i = s], I = sum p log(p / (p(yhat) p(s))), in nats: see
docs/methods.md#information-constraint.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-12


def mutual_information(probability: Tensor, s: Tensor, groups: int) -> Tensor:
    """Return I(Yhat; S) in nats (demographic parity), a scalar >= 0 that gradients flow through.

    Args:
        probability: float32[n] in [0, 1], the classifier's probability of y = 1.
        s: int64[n], the protected attribute, in [0, groups).
    """
    predicted = torch.stack([1 - probability, probability], 1)
    joint = predicted.T @ functional.one_hot(s, groups).to(predicted.dtype) / len(s)
    apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return (joint * ((joint + TINY).log() - (apart + TINY).log())).sum()


def conditional_mutual_information(probability: Tensor, s: Tensor, y: Tensor, groups: int, classes: int = 2) -> Tensor:
    """Return I(Yhat; S | Y) in nats (equalised odds): sum_y p(y) I(Yhat; S | Y = y)."""
    total = probability.new_zeros(())
    for value in range(classes):
        here = y == value
        if here.any():
            total = total + here.float().mean() * mutual_information(probability[here], s[here], groups)
    return total
