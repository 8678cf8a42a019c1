"""A run folder with pictures, scores, a curation and trainings, made without models: what a report can show."""

from __future__ import annotations

import io
import json
import math
import random
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from fairshards.catalogs.manifests.identity import canonical_json, digest
from fairshards.catalogs.manifests.manifest import SCHEMAS, Head, Shard, encode, write_local
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import train_settings
from fairshards.pipeline.run.quota import Group, Quota, quotas
from fairshards.pipeline.synthesis.decide import Candidate, decide, select
from fairshards.trainers.classifiers.settings import TrainSettings

Paint = Callable[[Recipe, Group, int], bytes]
Row = dict[str, Any]
GAINS = {"erm": 0.0, "usb": 0.1, "asb": 0.7, "ffr": 0.8}
CURATION = "c0ffee000001"
SELECTION = "worst group on validation at the end of an epoch >= 1"


def make_recipe(**changes: Any) -> Recipe:
    """Return a recipe for two classes on two backgrounds; ``changes`` replace whole top-level keys."""
    return Recipe.model_validate(
        {
            "name": "made-up",
            "source": {"reader": "webdataset", "path": "data/birds"},
            "classes": [{"name": "landbird"}, {"name": "waterbird"}],
            "bias": {"values": [{"name": "land"}, {"name": "water"}]},
            "generator": {"model": "pocket:pocket-diffusion", "steps": 20, "height": 64, "width": 64},
            "scorer": {"model": "pocket:pocket-clip"},
            "quota": {"usb_extra": True},
            "filters": {"clip_alignment": {"min": 0.74}, "group_judge": {}, "variance": {"retain": 0.96}},
            **changes,
        }
    )


def flat(recipe: Recipe, group: Group, number: int) -> bytes:
    """Return a small picture: one colour a group, a little different for every number."""
    buffer = io.BytesIO()
    colour = (90 + 120 * group[0] + number % 20, 120, 80 + 120 * (group[1] % 2) - number % 20)
    size = recipe.generator.width, recipe.generator.height
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@dataclass
class Made:
    """A run folder under construction."""

    root: Path
    recipe: Recipe
    paint: Paint = flat
    names: list[str] = field(default_factory=list)
    heads: dict[str, Head] = field(default_factory=dict)

    def commit(self, name: str, stage: str, rows: Sequence[Mapping[str, Any]], **head: Any) -> Head:
        """Commit a manifest and list it in run.json."""
        task = head.pop("task", Path(name).stem)
        hashed = digest([stage, task, list(rows)])
        made = Head(stage, task, hashed, head.pop("fingerprint", digest(stage)), **head)
        data, sealed = encode(made, rows, {"host": "here", "seconds": 1.0, "samples": len(rows)})
        write_local(self.root / name, data)
        self.names.append(name)
        self.heads[name] = sealed
        write_local(self.root / "run.json", json.dumps({"manifests": self.names}).encode())
        return sealed

    def tar(self, name: str, pictures: Mapping[str, bytes]) -> dict[str, Row]:
        """Write a tar and return each picture's place columns."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for key, data in pictures.items():
                info = tarfile.TarInfo(f"{key}.png")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        write_local(self.root / name, buffer.getvalue())
        with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
            found = {member.name[:-4]: member for member in tar}
        return {
            key: {
                "shard": Path(name).name,
                "offset": found[key].offset_data,
                "size": len(data),
                "image_sha256": digest(key),
                "width": self.recipe.generator.width,
                "height": self.recipe.generator.height,
            }
            for key, data in pictures.items()
        }

    def group(self, y: int, b: int) -> Row:
        """Return the group columns."""
        return {
            "y": y,
            "class_name": self.recipe.classes[y].name,
            "b": b,
            "bias_name": self.recipe.bias.values[b].name,
            "group_name": self.recipe.group_name(y, b),
        }


def build(
    root: Path,
    recipe: Recipe,
    *,
    counts: Mapping[Group, int] | None = None,
    made: int = 12,
    until: str = "train",
    paint: Paint = flat,
    rejects: bool = True,
    wanted: int | None = None,
) -> Made:
    """Write a run folder up to a stage: "recipe", "source", "generate", "curate" or "train".

    ``counts`` are the real training pictures per group, ``made`` the samples that each group gets, ``wanted``
    the quota per group.
    """
    run = Made(root, recipe, paint)
    write_local(root / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True)).encode())
    counts = counts or {group: 9 if group[0] == group[1] else 1 for group in recipe.groups}
    stages: list[Callable[[], Any]] = [
        lambda: _source(run, counts, rejects),
        lambda: _generate(run, made, rejects),
        lambda: _curate(run, quotas(counts, wanted, recipe.quota.usb_extra)),
        lambda: train(run, recipe),
    ]
    for stage in stages[: ("recipe", "source", "generate", "curate", "train").index(until)]:
        stage()
    return run


def _source(run: Made, counts: Mapping[Group, int], rejects: bool) -> None:
    versions = {"fairshards": "0.1.0", "torch": "2.14.1", "diffusers": "0.42.1", "webdataset": "1.0.2"}
    resolved = run.recipe.model_dump(mode="json", by_alias=True)
    run.commit(
        "run.parquet",
        "run",
        [
            {
                "run_id": digest(resolved)[:12],
                "name": run.recipe.name,
                "seed": run.recipe.seed,
                "recipe": canonical_json(resolved),
                "versions": canonical_json(versions),
            }
        ],
    )
    sizes = {"train": counts, "val": dict.fromkeys(counts, 2), "test": dict.fromkeys(counts, 3)}
    rows = [
        {
            "source_id": digest([split, *group, n])[:32],
            "dataset": run.recipe.name,
            "split": split,
            "key": f"{split}{n}",
            **run.group(*group),
            "caption": "",
            "metadata": "{}",
            "status": "ok",
        }
        for split, per_group in sizes.items()
        for group, count in per_group.items()
        for n in range(count)
    ]
    pictures = {row["source_id"]: run.paint(run.recipe, (row["y"], row["b"]), 7000 + n) for n, row in enumerate(rows)}
    places = run.tar("source/source-00000.tar", pictures)
    rows = [{**row, **places[row["source_id"]]} for row in rows]
    bad = [
        {
            "source_id": digest(["bad", n])[:32],
            "dataset": "x",
            "split": "train",
            "key": f"bad{n}",
            "status": "reject",
            "reason": reason,
            "detail": detail,
        }
        for n, (reason, detail) in enumerate(
            [
                ("truncated", "the picture ends early, after 812 bytes"),
                ("unknown_class", "class 'duck' is neither of the recipe's"),
            ]
        )
    ]
    run.commit(
        "source/source-00000.parquet",
        "source",
        [*rows, *(bad if rejects else [])],
        shard=Shard("source-00000.tar", digest("s"), 1, len(rows)),
    )
    names = set(SCHEMAS["index"].names)
    run.commit(
        "source/index.parquet",
        "index",
        [{"sample_id": row["source_id"], "g": 0, **{k: v for k, v in row.items() if k in names}} for row in rows],
    )


def _generate(run: Made, made: int, rejects: bool) -> None:
    plan = [_planned(run, group, replicate) for group in run.recipe.groups for replicate in range(made)]
    run.commit("plan/round-0.parquet", "plan", plan)
    for group in run.recipe.groups:
        mine = [row for row in plan if (row["y"], row["b"]) == group]
        lost = mine[-1]["sample_id"] if rejects and group == run.recipe.groups[-1] else None
        task = f"g{group[0]}-{group[1]}"
        places = run.tar(
            f"raw/{task}.tar",
            {
                row["sample_id"]: run.paint(run.recipe, group, row["replicate"])
                for row in mine
                if row["sample_id"] != lost
            },
        )
        raw = [
            {"sample_id": key, "status": "reject", "reason": "nan_image", "detail": "the model gave NaN"}
            if (key := row["sample_id"]) == lost
            else {"sample_id": key, **places[key], "status": "ok", "trajectory_variance": _variance(key)}
            for row in mine
        ]
        run.commit(
            f"raw/{task}.parquet",
            "generate",
            raw,
            task=task,
            fingerprint=digest("generator"),
            shard=Shard(f"{task}.tar", digest(task), 1, len(places)),
        )
        run.commit(
            f"scores/{task}.parquet",
            "score",
            [score for row in mine if row["sample_id"] != lost for score in _scores(run.recipe, row)],
            task=task,
        )


def _planned(run: Made, group: Group, replicate: int) -> Row:
    words = run.recipe.classes[group[0]].wordings[0], run.recipe.bias.values[group[1]].wordings[0]
    prompt = run.recipe.prompts.templates[0].format(**{"class": words[0], "bias": words[1]})
    settings = run.recipe.generator
    return {
        "sample_id": digest(["sample", *group, replicate])[:32],
        "noise_seed": replicate,
        "kind": "text-to-image",
        "round": 0,
        "task": f"g{group[0]}-{group[1]}",
        "replicate": replicate,
        **run.group(*group),
        "prompt": prompt,
        "negative_prompt": "",
        "guidance_scale": settings.guidance_scale,
        "steps": settings.steps,
        "height": settings.height,
        "width": settings.width,
        "eta": 0.0,
        "generator": settings.model,
        "generator_fingerprint": digest("weights"),
        "settings": "{}",
    }


def _chance(*parts: Any) -> random.Random:
    return random.Random(zlib.crc32(repr(parts).encode()))


def _variance(key: str) -> float:
    return math.exp(_chance(key, "variance").gauss(-7.5, 0.6))


def _scores(recipe: Recipe, row: Row) -> list[Row]:
    chance = _chance(row["sample_id"])
    wrong = chance.random() < 0.06
    judged = []
    for score, names, mine in (
        ("judge_class", [v.name for v in recipe.classes], row["class_name"]),
        ("judge_bias", [v.name for v in recipe.bias.values], row["bias_name"]),
    ):
        missed = wrong and chance.random() < 0.6
        other = chance.choice([name for name in names if name != mine])
        judged.append(
            {
                "score": score,
                "value": chance.random() * 0.45 if missed else 1 - chance.betavariate(1, 30),
                "label": other if missed else mine,
            }
        )
    cosine = {"score": "clip_alignment", "value": chance.gauss(0.70 if wrong else 0.82, 0.03), "label": None}
    return [{"sample_id": row["sample_id"], "status": "ok", **score} for score in (cosine, *judged)]


def _curate(run: Made, wanted: Mapping[Group, Quota]) -> None:
    from fairshards.catalogs.manifests.manifest import read_rows

    plan = {row["sample_id"]: row for row in read_rows(run.root / "plan/round-0.parquet")[1]}
    pool: dict[str, Candidate] = {}
    for name in [name for name in run.names if name.startswith("raw/")]:
        scores = read_rows(run.root / name.replace("raw/", "scores/"))[1]
        for row in read_rows(run.root / name)[1]:
            mine = [score for score in scores if score["sample_id"] == row["sample_id"]]
            pool[row["sample_id"]] = Candidate(
                {**plan[row["sample_id"]], **row},
                {**{s["score"]: s["value"] for s in mine}, "trajectory_variance": row["trajectory_variance"]},
                {s["score"]: s["label"] for s in mine},
                row["reason"],
            )
    decision = decide(list(pool.values()), run.recipe.filters)
    selection = select(decision, wanted)
    settings = {
        "filters": {k: dict(v) for k, v in run.recipe.filters.items()},
        "thresholds": decision.thresholds,
        "per_group": selection.balanced,
        "quotas": [
            {"y": y, "b": b, "group": run.recipe.group_name(y, b), "balanced": quota.balanced, "extra": quota.extra}
            for (y, b), quota in wanted.items()
        ],
        "shortfall": {run.recipe.group_name(*group): count for group, count in selection.shortfall.items()},
    }
    rows = [{"curation_id": CURATION, **row} for row in (*decision.rows, *selection.rows)]
    made = run.commit(f"curated/{CURATION}/decisions.parquet", "decide", rows, task=CURATION, settings=settings)
    names = set(SCHEMAS["index"].names)
    index = [
        {**{k: v for k, v in one.sample.items() if k in names}, "curation_id": CURATION, "split": split, "g": 1}
        for split, one in selection.chosen
    ]
    tars = []
    for split in dict.fromkeys(row["split"] for row in index):
        mine = [row for row in index if row["split"] == split]
        name = f"{split}-000000.tar"
        places = run.tar(f"curated/{CURATION}/{name}", {row["sample_id"]: _bytes(run.root, row) for row in mine})
        for row in mine:
            row.update(places[row["sample_id"]])
        data = (run.root / f"curated/{CURATION}/{name}").read_bytes()
        import hashlib

        tars.append(
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "samples": len(mine)}
        )
    run.commit(
        f"curated/{CURATION}/index.parquet",
        "index",
        index,
        task=CURATION,
        settings={"shards": tars},
        inputs=(made.content_sha256,),
    )


def _bytes(root: Path, row: Row) -> bytes:
    with open(root / "raw" / row["shard"], "rb") as file:
        file.seek(row["offset"])
        return file.read(row["size"])


def train(run: Made, recipe: Recipe, gains: Mapping[str, float] = GAINS) -> None:
    """Commit every training of a recipe; ``gains`` are what the methods add to the minority groups' accuracy."""
    index = run.heads[f"curated/{CURATION}/index.parquet"].content_sha256
    real = run.heads["source/index.parquet"].content_sha256
    for settings in train_settings(recipe.training):
        inputs = (real, index) if settings.needs_synthetic else (real,)
        _train(run, settings, gains[settings.method], inputs)


def _train(run: Made, settings: TrainSettings, gain: float, inputs: tuple[str, ...]) -> None:
    name = digest(settings.identity())[:12]
    stages = {"final": gain, **({"stage1": 0.95} if settings.method == "ffr" else {})}
    rows = [
        {
            "training_id": name,
            "stage": stage,
            "split": split,
            **run.group(y, b),
            **_accuracy(y, b, value, settings.seed),
        }
        for stage, value in stages.items()
        for split in ("val", "test")
        for y, b in run.recipe.groups
    ]
    said = {
        "method": settings.method,
        "loss": settings.loss,
        "seed": settings.seed,
        "selection": SELECTION,
        "settings": settings.identity(),
        "shards": [],
        "stages": {"train": {"selected_epoch": 7}},
    }
    run.commit(f"training/{name}/metrics.parquet", "train", rows, task=name, settings=said, inputs=inputs)


def _accuracy(y: int, b: int, gain: float, seed: int) -> Row:
    share = 0.97 if y == b else min(0.97, 0.07 + gain + 0.02 * y + 0.01 * seed * (1 - gain))
    n = 250
    correct = round(share * n)
    spread, square = 1.96, 1.96**2
    centre = (correct / n + square / (2 * n)) / (1 + square / n)
    half = spread / (1 + square / n) * math.sqrt(correct / n * (1 - correct / n) / n + square / (4 * n * n))
    return {"n": n, "correct": correct, "accuracy": correct / n, "low": centre - half, "high": centre + half}
