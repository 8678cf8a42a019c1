"""Planning rows of health records: one plan row per row to make, and how many each (y, s) sub-group needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairshards.catalogs.manifests.identity import canonical_json, noise_seed, sample_id
from fairshards.generators.tables.bt_gan import apportioned
from fairshards.pipeline.recipe.records import RowGroups
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.pipeline.synthesis.plan import shard_name
from fairshards.transforms.records.specs import RowSpec

KIND = "ehr"
Row = dict[str, Any]


def shard_rows(groups: RowGroups, spec: RowSpec, group: Group, shard: int, round_number: int) -> list[Row]:
    """Return the plan rows of shard ``shard`` of a sub-group: its replicates [kS, (k+1)S)."""
    size, task = groups.quota.shard_size, shard_name(groups, group, shard)
    replicates = range(shard * size, (shard + 1) * size)
    return [_row(groups, spec, group, replicate, task, round_number) for replicate in replicates]


def _row(groups: RowGroups, spec: RowSpec, group: Group, replicate: int, task: str, round_number: int) -> Row:
    y, s = group
    name = groups.group_name(y, s)
    determinants = {"kind": KIND, "group": name, "replicate": replicate, "seed": groups.recipe.seed}
    return {
        "sample_id": sample_id(determinants, spec.fingerprint),
        "noise_seed": noise_seed(determinants),
        "kind": KIND,
        "round": round_number,
        "task": task,
        "replicate": replicate,
        "y": y,
        "class_name": groups.class_name(y),
        "b": s,
        "bias_name": groups.bias_name(s),
        "group_name": name,
        "generator": "bt-gan",
        "generator_fingerprint": spec.fingerprint,
        "settings": canonical_json({"attribute": groups.attribute}),
    }


def row_quotas(groups: RowGroups, counts: Mapping[Group, int], joint: NDArray[np.float64]) -> dict[Group, Quota]:
    """Return how many rows each sub-group gets; they sum to the quota exactly.

    Args:
        counts: Training rows by sub-group.
        joint: float64[classes, values], the shares that the constraint asks for.
    """
    total = groups.quota.rows or sum(counts.values())
    wanted = {
        "constrained": [float(joint[group]) for group in groups.groups],
        "real": [float(counts[group]) for group in groups.groups],
        "balanced": [1.0] * len(groups.groups),
    }[groups.quota.groups]
    counted = apportioned(np.array(wanted), total)
    return {group: Quota(0, int(count)) for group, count in zip(groups.groups, counted, strict=True)}
