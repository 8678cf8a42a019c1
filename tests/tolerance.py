"""How far a float32 result may lie from the exact one: bounds that hold on any processor, not measured ones.

In which order a sum is taken, over how many partial sums, and whether products are fused with it is decided by the
processor, the library and the number of threads. Whatever they decide, every rounding is off by at most half a unit in
the last place, so that a sum of n terms is off by less than n * 2**-24 * sum(|terms|) (Higham, "Accuracy and Stability
of Numerical Algorithms", 4.2). Means, dot products and chains of operations have the same bound.
"""

from __future__ import annotations

ROUNDING = 2.0**-24
"""The largest relative error of one rounding to float32."""


def float32_error(roundings: int, magnitude: float = 1.0) -> float:
    """Return the largest error of a float32 result after this many roundings.

    Args:
        roundings: How many of them a result depends on, one after the other: the terms of a sum, and what follows.
        magnitude: What no intermediate value exceeds: of a sum, the sum of the terms' absolute values.
    """
    return roundings * ROUNDING * magnitude


def network_error(layers: int, terms: int, magnitude: float = 1.0) -> float:
    """Return how far two float32 passes of one network may lie apart, in another batch or on another processor.

    Here the bound above would be that of no real computation: products of norms, hundreds of times too much. Roundings
    of either sign add up as the square root of their number (Higham, 2.8), in layers that keep the scale of what they
    get, as normalised ones do; four standard deviations, of two passes.

    Args:
        layers: How many layers with sums stand one after the other.
        terms: How many terms a sum has, at most: the inputs of a linear layer, those of a convolution times its kernel.
        magnitude: The largest output.
    """
    return 4 * (2 * layers * terms) ** 0.5 * ROUNDING * magnitude
