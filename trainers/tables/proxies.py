"""Proxies: columns that tell much of the protected attribute S.

The information constraint asks how much the classifier's decision tells of S. A classifier that sees a proxy leans on
it where labels are biased; the generator would then make up for that in other columns (sicker patients of the group
whose deaths are missing), and who learns from its rows finds the proxy as useful as before. So under a constraint the
classifier sees neither S nor its proxies.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from fairshards.generators.tables.encoding import Encoded, TableEncoding
from fairshards.trainers.tables.joint_shares import information, joint_shares

BINS = 10


def share_told(encoding: TableEncoding, encoded: Encoded) -> dict[str, float]:
    """Return by column which share of S's entropy it tells on its own: I(column; S) / H(S), in [0, 1].

    A number is cut at its deciles, missing is a value; plug-in estimates are a little high.
    """
    groups = len(encoding.groups)
    entropy = information(np.diag(np.bincount(encoded.s, minlength=groups) / len(encoded.s)))
    codes: dict[str, NDArray[np.int64]] = {}
    for number, name in enumerate(encoding.numerics):
        middle = (encoded.low[:, number] + encoded.high[:, number]) / 2
        decile = np.minimum((middle * BINS).astype(np.int64), BINS - 1)
        codes[name] = np.where(encoded.present[:, number], decile, BINS)
    for number, block in enumerate(encoding.blocks):
        codes.setdefault(block.column, encoded.states[:, number])
    return {
        name: information(joint_shares(code, encoded.s, int(code.max()) + 1, groups)) / entropy
        for name, code in codes.items()
    }


def proxies(encoding: TableEncoding, encoded: Encoded, least: float) -> dict[str, float]:
    """Return the columns that tell ``least`` of S's entropy or more, with that share, the largest first."""
    found = {name: share for name, share in share_told(encoding, encoded).items() if share >= least}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def seen(encoding: TableEncoding, hidden: Collection[str]) -> NDArray[np.bool_]:
    """Return bool[width]: which numbers of an encoded row don't belong to hidden columns."""
    blocks = [np.full(len(block.states), block.column not in hidden) for block in encoding.blocks]
    return np.concatenate([np.array([name not in hidden for name in encoding.numerics], bool), *blocks])
