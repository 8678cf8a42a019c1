"""A small run folder made of real manifests: two groups of birds, one round, one curation, two trainings."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import Head, Shard, encode, write_local
from fairshards.catalogs.manifests.schemas import SCHEMAS

CLASSES, BIASES = ("landbird", "waterbird"), ("land", "water")
CURATION = "c0ffee000001"


def ident(*parts: Any) -> str:
    """Return 32 hex digits that stand for ``parts``."""
    return digest(list(parts))[:32]


def group(y: int, b: int) -> dict[str, Any]:
    """Return the group columns of (y, b)."""
    name, bias = CLASSES[y], BIASES[b]
    return {"y": y, "class_name": name, "b": b, "bias_name": bias, "group_name": f"{name}|{bias}"}


def place(shard: str, number: int) -> dict[str, Any]:
    """Return the place columns of the picture ``number`` of a tar."""
    return {
        "shard": shard,
        "offset": 1536 * number + 512,
        "size": 700 + number,
        "image_sha256": digest([shard, number]),
        "width": 64,
        "height": 64,
    }


@dataclass
class Run:
    """A run folder under construction: ``names`` are the manifests that run.json lists."""

    path: Path
    names: list[str]

    def write(
        self,
        name: str,
        stage: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        listed: bool = True,
        task: str = "",
        settings: Mapping[str, Any] | None = None,
        shard: Shard | None = None,
        inputs: Sequence[str] = (),
        attempt: Mapping[str, Any] | None = None,
    ) -> Head:
        """Commit a manifest as a stage does, and list it."""
        task = task or Path(name).stem
        head = Head(stage, task, digest([stage, task, rows]), "test/1", tuple(inputs), shard, settings or {})
        said = {"host": "here", "pid": 1, "started": time.time(), "seconds": 2.0, "samples": len(rows)}
        data, sealed = encode(head, rows, said if attempt is None else attempt)
        write_local(self.path / name, data)
        if listed and name not in self.names:
            self.names.append(name)
        self.publish()
        return sealed

    def publish(self) -> None:
        """Write run.json."""
        write_local(self.path / "run.json", json.dumps({"manifests": self.names}).encode())


def source_rows(unit: int) -> list[dict[str, Any]]:
    """Return a source unit's rows: most waterbirds on water; the first key of every unit is the same."""
    shard, splits = f"source-{unit:05d}.tar", ("train", "train", "train", "val", "test")
    keys = ["shared", *(f"u{unit}-{number}" for number in range(1, len(splits)))]
    groups = [(0, 0), (1, 1), (1, 0) if unit else (1, 1), (0, 0), (1, 1)]
    rows = [
        {
            "source_id": ident("source", key),
            "dataset": "birds",
            "split": split,
            "key": key,
            **group(*which),
            **place(shard, number),
            "caption": f"a bird {number}",
            "metadata": "{}",
            "status": "ok",
        }
        for number, (key, split, which) in enumerate(zip(keys, splits, groups, strict=True))
    ]
    rows.append(
        {
            "source_id": ident("bad", unit),
            "dataset": "birds",
            "split": "train",
            "key": f"bad.{unit}",
            "status": "reject",
            "reason": "truncated",
            "detail": "the file ends early",
        }
    )
    return rows


def plan_rows(y: int, b: int, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return the plan of one shard of a group."""
    return [
        {
            "sample_id": ident("sample", y, b, replicate, seed),
            "noise_seed": 100 * y + 10 * b + replicate,
            "kind": "text-to-image",
            "round": 0,
            "task": f"{y}{b}-{seed}",
            "replicate": replicate,
            **group(y, b),
            "prompt": f"a {CLASSES[y]} on {BIASES[b]}",
            "negative_prompt": "",
            "guidance_scale": 7.5,
            "steps": 4,
            "height": 64,
            "width": 64,
            "eta": 0.0,
            "generator": "pocket",
            "generator_fingerprint": "f" * 64,
            "settings": "{}",
        }
        for replicate in range(count)
    ]


def raw_rows(plan: Sequence[Mapping[str, Any]], shard: str, bad: int | None = None) -> list[dict[str, Any]]:
    """Return the generate rows of a plan; the replicate ``bad`` is a reject."""
    broken = {"status": "reject", "reason": "nan_image", "detail": "the model returned NaN"}
    return [
        {"sample_id": row["sample_id"], **broken}
        if row["replicate"] == bad
        else {
            "sample_id": row["sample_id"],
            **place(shard, number),
            "status": "ok",
            "trajectory_variance": 0.01 * (number + 1),
        }
        for number, row in enumerate(plan)
    ]


def score_rows(raw: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return two scores of every good sample."""
    good = [row["sample_id"] for row in raw if row["status"] == "ok"]
    return [
        {"sample_id": sample, "score": score, "value": 0.2 + 0.01 * number, "label": label, "status": "ok"}
        for number, sample in enumerate(good)
        for score, label in (("clip_alignment", None), ("group_judge", "landbird|land"))
    ]


def curate(
    run: Run,
    plan: Sequence[Mapping[str, Any]],
    raw: Sequence[Mapping[str, Any]],
    quota: int,
    curation: str = CURATION,
    threshold: int = 1,
) -> Head:
    """Commit a curation that drops replicates below ``threshold`` and keeps ``quota`` a group."""
    good = {row["sample_id"] for row in raw if row["status"] == "ok"}
    decisions, index, kept = [], [], Counter[str]()
    for row in plan:
        sample = {"curation_id": curation, "sample_id": row["sample_id"]}
        passed = {
            "generated": row["sample_id"] in good,
            "clip_alignment": row["replicate"] >= threshold,
            "quota": kept[row["group_name"]] < quota,
        }
        reasons = {"generated": "nan_image", "clip_alignment": "low", "quota": "surplus"}
        for name, keep in passed.items():
            reason = None if keep else reasons[name]
            decisions.append({**sample, "filter": name, "keep": keep, "reason": reason})
            if not keep:
                break
        else:
            kept[row["group_name"]] += 1
            index.append(
                {
                    **sample,
                    "split": "balanced",
                    **group(row["y"], row["b"]),
                    "g": 1,
                    **place("balanced-000000.tar", len(index)),
                }
            )
    settings = {"quotas": [{**group(y, b), "balanced": quota, "extra": 0} for y in (0, 1) for b in (0, 1)]}
    run.write(f"curated/{curation}/decisions.parquet", "decide", decisions, settings=settings)
    limit = {
        "curation_id": curation,
        "filter": "clip_alignment",
        "score": "clip_alignment",
        "keeps": "at least",
        "calibrated_on": "real",
        "group_name": "*",
        "retain": 0.95,
        "n": 400,
        "dropped": 0,
        "threshold": 0.21,
        "low": 0.2,
        "high": 0.22,
        "fingerprint": digest("scorer"),
        "shares": [0.9, 0.95],
        "limits": [0.22, 0.21],
    }
    run.write(f"curated/{curation}/calibrations.parquet", "calibrate", [limit])
    told = {
        "curation_id": curation,
        "group_name": "landbird|land",
        "real": 40,
        "synthetic": 30,
        "auc": 0.7,
        "low": 0.6,
        "high": 0.8,
    }
    run.write(f"curated/{curation}/g-detector.parquet", "g_detector", [told])
    tar = {"name": "balanced-000000.tar", "sha256": digest(curation), "bytes": 9000, "samples": len(index)}
    return run.write(f"curated/{curation}/index.parquet", "index", index, settings={"shards": [tar]})


def edits(run: Run, sources: Sequence[Mapping[str, Any]]) -> None:
    """Commit a plan of five edits of two phrases, their pictures, their scores, and the ranking that follows."""
    phrases = [("a lake", "lake", "background"), ("the lake", "lake", "background"), ("a reed", "reed", "foreground")]
    plan = []
    for number, source in enumerate(sources[:5]):
        phrase, merged, kind = phrases[number % 3]
        asked = {"source_id": source["source_id"], "phrase": phrase, "phrase_group": merged, "kind": kind}
        plan.append(
            {
                **asked,
                "edit_id": ident("edit", number),
                "y": 1,
                "class_name": CLASSES[1],
                "task": "edits-0000",
                "replacement": "a desert" if kind == "background" else None,
                "mask_phrase": "a bird" if kind == "background" else phrase,
                "keep_phrases": ["a reed"] if kind == "background" else [],
                "editor": "inpaint",
                "prompt": "a desert",
                "negative_prompt": "",
                "noise_seed": number,
                "steps": 4,
                "guidance_scale": 7.5,
                "eta": 0.0,
                "editor_fingerprint": "e" * 64,
                "settings": "{}",
                "source_shard": f"source/{source['shard']}",
                "source_offset": source["offset"],
                "source_size": source["size"],
                "source_sha256": source["image_sha256"],
            }
        )
    run.write("plan/edits.parquet", "edit_plan", plan)
    rows = [
        {"edit_id": row["edit_id"], **place("edits-0000.tar", number), "mask_share": 0.4, "status": "ok"}
        for number, row in enumerate(plan)
    ]
    tar = Shard("edits-0000.tar", digest("edits"), 9000, len(rows))
    run.write("edits/edits-0000.parquet", "edit", rows, shard=tar)
    scores = [edit_score(row["edit_id"], -0.1 * number, hit=number % 3 == 1) for number, row in enumerate(plan)]
    run.write("edit_scores/edits-0000.parquet", "edit_score", scores)
    ranked = [rank_row("lake", "background", 1, True), rank_row("reed", "foreground", 2, False)]
    run.write("ranking.parquet", "rank", ranked, settings={"min_count": 1})
    counts = {"real": 10, "real_holding": 5, "synthetic": 4, "synthetic_holding": 0}
    told = {"curation_id": CURATION, "phrase": "water", **counts, "bits_before": 0.9, "bits_after": 0.4}
    run.write("audit.parquet", "audit", [told])


def edit_score(edit: str, shift: float, hit: bool) -> dict[str, Any]:
    """Return the scores of an edit that takes ``-shift`` from the true class's probability."""
    after = 0.9 + shift
    return {
        "edit_id": edit,
        "predicted_before": 1,
        "predicted_after": 0 if hit else 1,
        "hit": hit,
        "probability_before": 0.9,
        "probability_after": after,
        "probability_shift": shift,
        "probabilities_before": [0.1, 0.9],
        "probabilities_after": [1 - after, after],
        "phrase_before": 0.3,
        "phrase_after": 0.2,
        "replacement_before": 0.1,
        "replacement_after": 0.25,
        "status": "ok",
    }


def rank_row(phrase: str, kind: str, rank: int, spurious: bool) -> dict[str, Any]:
    """Return one ranked phrase of waterbirds."""
    counts = {"occurrences": 9, "edits": 4, "successes": 4, "hits": 2 if spurious else 0}
    interval = {"rate": 0.5, "low": 0.2, "high": 0.8, "excess_low": 0.1, "mean_shift": -0.2}
    lift = {"lift": 1.8, "lift_low": 1.4, "lift_high": 2.0, "bits": 0.3}
    named = {"y": 1, "class_name": CLASSES[1], "phrase": phrase, "kind": kind, "rank": rank, "spurious": spurious}
    return {**named, "score": 1.0, "aspire_score": 0.4, **counts, **interval, **lift}


def train(run: Run, name: str, method: str, inputs: Sequence[Head], right: Sequence[int], **shard: Any) -> Head:
    """Commit a training whose test groups have 10 pictures and ``right`` correct answers each."""
    rows = [
        {
            "training_id": name,
            "stage": "final",
            "split": "test",
            **group(y, b),
            "n": 10,
            "correct": correct,
            "accuracy": correct / 10,
            "low": max(0.0, correct / 10 - 0.2),
            "high": min(1.0, correct / 10 + 0.2),
        }
        for (y, b), correct in zip(((0, 0), (0, 1), (1, 0), (1, 1)), right, strict=True)
    ]
    settings = {
        "method": method,
        "loss": "erm",
        "seed": 0,
        "selection": "worst group on val",
        "settings": {"model": "pocket-convnet"},
        "shards": [shard] if shard else [],
    }
    hashes = [head.content_sha256 for head in inputs]
    path = f"training/{name}/metrics.parquet"
    return run.write(path, "train", rows, task=name, settings=settings, inputs=hashes)


def build(path: Path) -> Run:
    """Write a small run: 2 source units, 4 groups of 4 samples, a curation with 2 a group, 2 trainings."""
    run = Run(path, [])
    row = {"run_id": "r1", "name": "tiny", "seed": 0, "recipe": "seed: 0", "versions": "{}"}
    run.write("run.parquet", "run", [row])
    sources = [source_rows(unit) for unit in range(2)]
    for unit, rows in enumerate(sources):
        tar = Shard(f"source-{unit:05d}.tar", digest(["source tar", unit]), 20_000, 5)
        run.write(f"source/source-{unit:05d}.parquet", "source", rows, shard=tar)
    real = run.write("source/index.parquet", "index", index_rows(sources))
    edits(run, [row for row in sources[0] if row["status"] == "ok"])
    plan = [row for y in (0, 1) for b in (0, 1) for row in plan_rows(y, b, 4)]
    run.write("plan/round-0.parquet", "plan", plan)
    raw = []
    for start in range(0, 16, 4):
        task = plan[start]["task"]
        tar = Shard(f"{task}.tar", digest(["raw", task]), 8000, 4)
        rows = raw_rows(plan[start : start + 4], tar.name, bad=3 if start == 12 else None)
        run.write(f"raw/{task}.parquet", "generate", rows, shard=tar)
        run.write(f"scores/{task}.parquet", "score", score_rows(rows), attempt={"seconds": 0.5})
        raw += rows
    made = curate(run, plan, raw, quota=2)
    records(run)
    train(
        run,
        "aaaa00000001",
        "erm",
        [real],
        (9, 3, 2, 10),
        use="train",
        g=0,
        samples=3,
        shard="source/source-00000.tar",
        sha256=digest(["source tar", 0]),
    )
    train(
        run,
        "bbbb00000002",
        "ffr",
        [real, made],
        (9, 8, 7, 9),
        use="stage1",
        g=1,
        samples=8,
        shard=f"curated/{CURATION}/balanced-000000.tar",
        sha256=digest(CURATION),
    )
    return run


def records(run: Run) -> None:
    """Write what only a run over health records has: counts of a cohort, a model of rows, an evaluation."""
    run.write(
        "cohort/groups.parquet", "cohort", [{"dataset": "tiny", "split": "test", **group(0, 0), "n": 7, "status": "ok"}]
    )
    log = {
        "model_id": "m1",
        "stage": 1,
        "step": 500,
        "discriminator": 1.2,
        "generator": 0.9,
        "information": 0.01,
        "classifier": 0.5,
    }
    said = {
        "settings": {"constraint": "odds", "lam": 1.0, "seed": 0},
        "attribute": "bias",
        "fingerprint": "f" * 64,
        "joint": [[0.5, 0.1], [0.1, 0.3]],
    }
    run.write("models/m1/fit.parquet", "fit", [log], task="m1", settings=said)
    measured = {
        "evaluation_id": "e1",
        "curation_id": CURATION,
        "aspect": "utility",
        "metric": "auroc",
        "trained_on": "synthetic",
        "learner": "gradient boosting",
        "value": 0.8,
    }
    run.write("evaluation/e1/metrics.parquet", "evaluate", [measured])


def index_rows(sources: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return the source index: the usable rows, one of each id."""
    good: dict[str, dict[str, Any]] = {}
    for row in (row for rows in sources for row in rows if row["status"] == "ok"):
        facts = {name: row[name] for name in SCHEMAS["index"].names if name in row}
        good.setdefault(row["source_id"], {"sample_id": row["source_id"], "g": 0, **facts})
    return list(good.values())
