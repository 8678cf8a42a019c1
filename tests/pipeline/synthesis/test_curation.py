"""Curation: decisions, equal counts, shortfalls. No model, no pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fairshards.pipeline.run.quota import Quota
from fairshards.pipeline.synthesis.decide import Candidate, curation_id, decide, select

GROUPS = [(0, 0), (0, 1), (1, 0), (1, 1)]
NAMES = {0: "landbird", 1: "waterbird"}, {0: "land", 1: "water"}


def candidate(
    group: tuple[int, int],
    replicate: int,
    judged: tuple[int, int] | None = None,
    variance: float = 0.1,
    reason: str | None = None,
) -> Candidate:
    y, b = group
    seen_y, seen_b = judged or group
    sample = {
        "sample_id": f"{y}{b}{replicate:04d}",
        "y": y,
        "b": b,
        "replicate": replicate,
        "class_name": NAMES[0][y],
        "bias_name": NAMES[1][b],
        "group_name": f"{NAMES[0][y]}|{NAMES[1][b]}",
    }
    scores = {"clip_alignment": 0.3, "judge_class": 0.9, "judge_bias": 0.9, "trajectory_variance": variance}
    labels = {"judge_class": NAMES[0][seen_y], "judge_bias": NAMES[1][seen_b]}
    return Candidate(sample, scores, labels, reason)


def pool(per_group: int) -> list[Candidate]:
    return [candidate(group, number) for group in GROUPS for number in range(per_group)]


def test_selection_is_balanced_and_takes_the_first_replicates() -> None:
    quotas = {group: Quota(3, 2 if group[0] != group[1] else 0) for group in GROUPS}
    chosen = select(decide(pool(6), {"group_judge": {}}), quotas)
    balanced = [c for split, c in chosen.chosen if split == "balanced"]
    extra = [c for split, c in chosen.chosen if split == "extra"]
    assert Counter(c.group for c in balanced) == dict.fromkeys(GROUPS, 3)
    assert Counter(c.group for c in extra) == {(0, 1): 2, (1, 0): 2}
    assert {c.sample["replicate"] for c in balanced} == {0, 1, 2}
    assert [c.group for c in balanced[:4]] == GROUPS  # interleaved, so that each curated shard is balanced
    assert Counter(row["reason"] for row in chosen.rows if not row["keep"]) == {"surplus": 2 * 3 + 2 * 1}
    assert not chosen.shortfall


def test_a_validation_split_is_balanced_and_comes_last() -> None:
    quotas = {group: Quota(2, 1 if group == (0, 1) else 0, 3) for group in GROUPS}
    candidates = [one for one in pool(6) if one.group != (1, 0) or one.sample["replicate"] < 4]
    chosen = select(decide(candidates, {"group_judge": {}}), quotas)
    held = [one for split, one in chosen.chosen if split == "validation"]
    assert Counter(one.group for one in held) == dict.fromkeys(GROUPS, 2)
    assert {one.sample["replicate"] for one in held if one.group != (0, 1)} == {2, 3}
    assert {one.sample["replicate"] for one in held if one.group == (0, 1)} == {3, 4}
    assert chosen.shortfall == {(1, 0): 1} and chosen.balanced == 2
    assert Counter(row["reason"] for row in chosen.rows if not row["keep"]) == {"balance": 3, "surplus": 2}
    short = select(decide(pool(1), {"group_judge": {}}), quotas)
    assert [split for split, _ in short.chosen] == ["balanced"] * 4


def test_edits_go_before_generated_samples() -> None:
    def edit(one: Candidate) -> Candidate:
        return replace(one, sample={**one.sample, "kind": "edit", "sample_id": f"e{one.sample['sample_id']}"})

    candidates = [*pool(3), *(edit(candidate(group, number)) for group in GROUPS for number in range(2))]
    decision = decide(candidates, {"group_judge": {}})
    assert [decision.generated(group) for group in GROUPS] == [3] * 4
    chosen = select(decision, dict.fromkeys(GROUPS, Quota(3, 0)))
    ids = [one.sample["sample_id"] for _, one in chosen.chosen if one.group == (1, 1)]
    assert ids == ["e110000", "e110001", "110000"]


def test_a_short_group_cuts_every_group_and_is_reported() -> None:
    candidates = pool(5) + [candidate((1, 0), number, judged=(0, 0)) for number in range(5, 8)]
    candidates = [c for c in candidates if not (c.group == (1, 0) and c.sample["replicate"] < 3)]
    decision = decide(candidates, {"group_judge": {}})
    quotas = dict.fromkeys(GROUPS, Quota(5, 0))
    chosen = select(decision, quotas)
    assert chosen.shortfall == {(1, 0): 3} and chosen.balanced == 2
    assert Counter(c.group for _, c in chosen.chosen) == dict.fromkeys(GROUPS, 2)
    assert Counter(row["reason"] for row in chosen.rows if not row["keep"]) == {"balance": 9}


def test_every_filter_speaks_of_every_scored_sample() -> None:
    candidates = [
        candidate((0, 0), 0),
        candidate((0, 1), 0, judged=(1, 1), variance=9.0),
        candidate((1, 0), 0, reason="nan_image"),
    ]
    decision = decide(candidates, {"group_judge": {}, "variance": {"max": 1.0}})
    by_filter = {
        name: {row["sample_id"]: row["reason"] for row in decision.rows if row["filter"] == name}
        for name in ("generated", "group_judge", "variance")
    }
    assert by_filter["generated"] == {"000000": None, "010000": None, "100000": "nan_image"}
    assert by_filter["group_judge"] == {"000000": None, "010000": "class"}
    assert by_filter["variance"] == {"000000": None, "010000": "trajectory"}


def test_a_quantile_is_taken_over_those_that_passed_the_filters_before() -> None:
    good = [candidate((0, 0), n, variance=float(n)) for n in range(10)]
    bad = [candidate((0, 0), n, judged=(1, 0), variance=1000.0) for n in range(10, 100)]
    decision = decide(good + bad, {"group_judge": {}, "variance": {"retain": 0.9}})
    assert [c.sample["replicate"] for c in decision.passed[0, 0]] == list(range(9))


def test_a_pool_without_survivors_is_all_missing() -> None:
    candidates = [candidate((0, 0), n, judged=(1, 0)) for n in range(4)]
    decision = decide(candidates, {"group_judge": {}, "variance": {"retain": 0.9}})
    assert decision.missing({(0, 0): Quota(2, 1)}) == {(0, 0): 3}


def test_the_id_follows_filters_quotas_inputs_and_the_shards_size() -> None:
    quotas = dict.fromkeys(GROUPS, Quota(3, 0))
    base = curation_id({"group_judge": {}}, quotas, ["a"], 500)
    assert base == curation_id({"group_judge": {}}, quotas, ["a"], 500)
    others = [
        curation_id({"group_judge": {"min_probability": 0.6}}, quotas, ["a"], 500),
        curation_id({"group_judge": {}}, dict.fromkeys(GROUPS, Quota(4, 0)), ["a"], 500),
        curation_id({"group_judge": {}}, dict.fromkeys(GROUPS, Quota(3, 0, 2)), ["a"], 500),
        curation_id({"group_judge": {}}, quotas, ["b"], 500),
        curation_id({"group_judge": {}}, quotas, ["a"], 4),
    ]
    assert len({base, *others}) == 6
