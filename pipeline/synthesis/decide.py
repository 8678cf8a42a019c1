"""Curation: which generated samples are kept. A pure decision over raw scores; no model, no pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairshards.catalogs.manifests.identity import TASK_DIGITS, digest
from fairshards.filters.base import CalibratedFilter, Filter, is_edit
from fairshards.filters.limits import Threshold
from fairshards.filters.registry import filter_class, version_of
from fairshards.pipeline.run.quota import Group, Quota

VERSION = "curate/3"
Row = dict[str, Any]
GroupValues = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Candidate:
    """A generated sample with its raw scores; ``reason`` says why there is no picture, if there is none."""

    sample: Mapping[str, Any]
    scores: Mapping[str, float | None]
    labels: Mapping[str, str | None]
    reason: str | None = None

    @property
    def group(self) -> Group:
        """(y, b)."""
        return self.sample["y"], self.sample["b"]


@dataclass
class Decision:
    """What the filters say of a pool, and what it still lacks."""

    rows: list[Row] = field(default_factory=list)
    passed: dict[Group, list[Candidate]] = field(default_factory=lambda: defaultdict(list))
    thresholds: dict[str, Any] = field(default_factory=dict)
    calibrations: list[tuple[str, Threshold]] = field(default_factory=list)

    def missing(self, quotas: Mapping[Group, Quota]) -> dict[Group, int]:
        """Return how many samples each group lacks; groups that have enough are left out."""
        short = {group: quota.total - len(self.passed[group]) for group, quota in quotas.items()}
        return {group: count for group, count in short.items() if count > 0}

    def generated(self, group: Group) -> int:
        """Return how many generated samples of a group passed; edits aren't among them."""
        return sum(not is_edit(candidate.sample) for candidate in self.passed[group])


def decide(
    pool: Sequence[Candidate],
    settings: Mapping[str, Mapping[str, Any]],
    real: Mapping[str, GroupValues] | None = None,
    borrowed: Mapping[str, Sequence[Threshold]] | None = None,
) -> Decision:
    """Return every filter's decision on every candidate, in the recipe's order of filters.

    A filter with ``retain`` takes its limits from ``borrowed`` (by filter), or else measures them: on ``real`` (by
    score, then group), or on the candidates that passed the filters before it (on all, when none did).

    Raises:
        ValueError: a filter is calibrated on real pictures, and there are no scores of these.
    """
    decision = Decision()
    alive = []
    for candidate in pool:
        decision.rows.append(_row(candidate, "generated", candidate.reason is None, candidate.reason))
        if candidate.reason is None:
            alive.append(candidate)
    survivors = {candidate.sample["sample_id"] for candidate in alive}
    for name, options in settings.items():
        judge = filter_class(name)(**options)
        if alive:
            support = [c for c in alive if c.sample["sample_id"] in survivors] or alive
            found = list((borrowed or {}).get(name, ())) or _measured(judge, support, real or {})
            judge = judge.calibrated(found)
            decision.calibrations += [(name, one) for one in found]
        decision.thresholds[name] = judge.settings
        for candidate in alive:
            verdict = judge.decide(candidate.scores, candidate.labels, candidate.sample)
            keep, reason = (True, None) if verdict is True else (False, verdict[1])
            decision.rows.append(_row(candidate, name, keep, reason))
            if not keep:
                survivors.discard(candidate.sample["sample_id"])
    for candidate in alive:
        if candidate.sample["sample_id"] in survivors:
            decision.passed[candidate.group].append(candidate)
    return decision


def _measured(judge: Filter, support: Sequence[Candidate], real: Mapping[str, GroupValues]) -> list[Threshold]:
    """Return the thresholds of a filter's limits over their calibration sets."""
    if not isinstance(judge, CalibratedFilter):
        return []
    found = []
    for limit in judge.to_calibrate():
        if limit.over == "real" and limit.score not in real:
            raise ValueError(f"filters.{judge.name} has retain, but no real picture has the score {limit.score}")
        values = real[limit.score] if limit.over == "real" else _by_group(judge, limit.score, support)
        found += judge.measure(limit, values)
    return found


def _by_group(judge: Filter, score: str, candidates: Sequence[Candidate]) -> GroupValues:
    """Return the scores of the candidates that the filter asks for it, by group, groups in order."""
    found: dict[str, list[float | None]] = {}
    for candidate in sorted(candidates, key=lambda one: one.group):
        if score in judge.needs(candidate.sample):
            found.setdefault(str(candidate.sample["group_name"]), []).append(candidate.scores.get(score))
    return found


@dataclass(frozen=True)
class Selection:
    """The curated set: rows in their final order, the quota's decisions, and what stayed short."""

    chosen: list[tuple[str, Candidate]]
    rows: list[Row]
    shortfall: dict[Group, int]
    balanced: int


def select(decision: Decision, quotas: Mapping[Group, Quota]) -> Selection:
    """Choose, per group, edits first and then by replicate number, the balanced, extra and validation samples.

    The balanced split holds exactly the same number of every group: the quota's m, or, where a group is
    short, as many as the shortest group has; what that drops carries the reason "balance". So does the validation
    split, which comes last: it never takes what a method trains on.
    """
    balanced = min(min(quota.balanced, len(decision.passed[group])) for group, quota in quotas.items())
    left = {group: len(decision.passed[group]) - quota.balanced - quota.extra for group, quota in quotas.items()}
    validation = min(max(0, min(quota.validation, left[group])) for group, quota in quotas.items())
    chosen: list[tuple[int, Group, str, Candidate]] = []
    rows: list[Row] = []
    for group, quota in quotas.items():
        ordered = sorted(decision.passed[group], key=_order)
        for rank, candidate in enumerate(ordered):
            split, reason = _place(rank, quota, balanced, validation)
            rows.append(_row(candidate, "quota", reason is None, reason))
            if reason is None:
                chosen.append((rank, group, split, candidate))
    chosen.sort(key=lambda entry: (entry[2], entry[0], entry[1]))
    return Selection(
        [(split, candidate) for _, _, split, candidate in chosen], rows, decision.missing(quotas), balanced
    )


def _place(rank: int, quota: Quota, balanced: int, validation: int) -> tuple[str, str | None]:
    """Return the split of a group's sample by its rank, and why it isn't in there, if it isn't."""
    if rank < quota.balanced:
        return "balanced", None if rank < balanced else "balance"
    rank -= quota.balanced
    if rank < quota.extra:
        return "extra", None
    rank -= quota.extra
    if rank < quota.validation:
        return "validation", None if rank < validation else "balance"
    return "", "surplus"


def curation_id(
    settings: Mapping[str, Mapping[str, Any]], quotas: Mapping[Group, Quota], inputs: Sequence[str], shard_size: int
) -> str:
    """Return the name of a curation: 12 hex digits over all that decides the files in its folder.

    That is: the filters, the quotas, the scorer and the tasks it decided on (``inputs``), and how many samples
    a curated shard holds, since the shards are numbered in their folder.
    """
    wanted = [
        [*group, quota.balanced, quota.extra, *([quota.validation] if quota.validation else ())]
        for group, quota in sorted(quotas.items())
    ]
    filters = [[name, *version_of(filter_class(name)), dict(options)] for name, options in settings.items()]
    parts = {"filters": filters, "quotas": wanted, "inputs": list(inputs), "shard_size": shard_size}
    return digest({"version": VERSION, **parts})[:TASK_DIGITS]


def _order(candidate: Candidate) -> tuple[bool, int]:
    return not is_edit(candidate.sample), candidate.sample["replicate"]


def _row(candidate: Candidate, name: str, keep: bool, reason: str | None) -> Row:
    return {"sample_id": candidate.sample["sample_id"], "filter": name, "keep": keep, "reason": reason}
