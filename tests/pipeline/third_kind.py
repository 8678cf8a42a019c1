"""A made-up kind: sentences of two classes, told by a seeded function and kept by their length. All that a kind is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import apache_beam as beam

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import digest, noise_seed, sample_id, task_hash
from fairshards.filters.base import Filter, Verdict
from fairshards.pipeline.kinds import Kind
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.strict import Strict
from fairshards.pipeline.run.checks import Ready, Regenerated, attempted
from fairshards.pipeline.run.quota import Quota
from fairshards.pipeline.synthesis.making import Making
from fairshards.pipeline.synthesis.plan import shard_name
from fairshards.transforms.pictures.score import Score
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.tars import sha256
from tests.pipeline.third_kind_pages import PAGES

Row = Mapping[str, Any]


class Rounds(Strict):
    per_group: int = 6
    surplus: float = 0.0
    max_rounds: int = 4
    shard_size: int = 4
    curated_shard_size: int = 5


class SentencesRecipe(RecipeBase):
    KIND: ClassVar[str] = "sentences"
    groups: ClassVar[list[tuple[int, int]]] = [(0, 0), (1, 0)]
    kind: Literal["sentences"]
    path: str
    classes: tuple[str, str] = ("cat", "dog")
    quota: Rounds = Rounds()
    filters: Mapping[str, Mapping[str, Any]] = {}

    def group_name(self, y: int, b: int) -> str:
        return f"{self.classes[y]}|any"

    def of_class(self, y: int) -> dict[str, Any]:
        named = {"class_name": self.classes[y], "bias_name": "any", "group_name": self.group_name(y, 0)}
        return {"y": y, "b": 0, **named}


@dataclass(frozen=True)
class LongEnough(Filter):
    name: ClassVar[str] = "long_enough"
    scores: ClassVar[tuple[str, ...]] = ("words",)
    min: int = 5

    def decide(self, scores: Row, labels: Row, sample: Row) -> Verdict:
        return True if scores["words"] >= self.min else (False, "too_short")


TELL, COUNT, KEEP = (SimpleNamespace(stage_fingerprint=digest(name)) for name in ("tell/1", "count/1", "keep/1"))


def tell(row: Row) -> bytes:
    drawn = random.Random(row["noise_seed"])
    return f"a {' '.join(drawn.choices(('small', 'old', 'shy'), k=drawn.randint(1, 6)))} {row['class_name']}\n".encode()


def write(task: Any, rows: Sequence[Row], texts: Sequence[bytes], step: Any) -> Any:
    """Commit rows with their sentences as one text file, a line each."""
    shard = commit.publish_shard(task, b"".join(texts), len(texts), name=f"{task.stem}.txt")
    placed = [
        {**row, "shard": shard.name, "offset": at, "size": 1, "image_sha256": sha256(text)}
        for at, (row, text) in enumerate(zip(rows, texts, strict=True))
    ]
    return commit.commit(task, commit.Made(placed, shard), step.stage_fingerprint, commit.attempt(0.0))


def tell_task(task: Any) -> Any:
    plan = commit.read_task_rows(task)
    rows = [{"sample_id": row["sample_id"], "status": "ok"} for row in plan]
    return write(task, rows, [tell(row) for row in plan], TELL)


def count_task(made: Any) -> Any:
    plan, task = commit.read_task_rows(made.task), Score.task_of(made, COUNT)
    counts = {row["sample_id"]: float(len(tell(row).split())) for row in plan}
    rows = [{"sample_id": key, "score": "words", "value": value, "status": "ok"} for key, value in counts.items()]
    counted = commit.Made(rows, inputs=(made.content_sha256,))
    return commit.commit(task, counted, COUNT.stage_fingerprint, commit.attempt(0.0))


def keep_task(task: Any) -> Any:
    rows = commit.read_task_rows(task)
    raw = {name: Path(task.run, "raw", name).read_bytes().splitlines(True) for name in {row["shard"] for row in rows}}
    return write(task, rows, [raw[row["shard"]][row["offset"]] for row in rows], KEEP)


class Sentences(Kind):
    name, recipe, packages = "sentences", SentencesRecipe, ("fairshards",)

    def ready(self, run: Any) -> Ready:
        return Ready((attempted("path", Path(run.recipe.path).read_text, run.recipe.path),))

    def source(self, run: Any) -> Any:
        lines, classes = Path(run.recipe.path).read_text().splitlines(), run.recipe.classes
        found = {sha256(line.encode())[:32]: y for line in lines for y, name in enumerate(classes) if name in line}
        of_train = {"split": "train", "g": 0}
        rows = [{"sample_id": key, **of_train, **run.recipe.of_class(y)} for key, y in found.items()]
        hashed = task_hash("index", "lines/1", list(found))
        name = f"source/index-{hashed[:12]}.parquet"
        head = run.folder.commit(name, "index", "lines", rows, task_hash=hashed)
        return SimpleNamespace(manifests={name: head.content_sha256})

    def making(self, run: Any, source: Any, prepared: None) -> Making:
        def planned(group: tuple[int, int], shard: int, number: int) -> list[dict[str, Any]]:
            size, rows = run.recipe.quota.shard_size, []
            for replicate in range(shard * size, (shard + 1) * size):
                facts = {"kind": "sentence", "y": group[0], "replicate": replicate, "seed": run.recipe.seed}
                ids = {"sample_id": sample_id(facts, TELL.stage_fingerprint), "noise_seed": noise_seed(facts)}
                where = {"round": number, "task": shard_name(run.recipe, group, shard), "replicate": replicate}
                rows.append({**ids, **where, "kind": "sentence", **run.recipe.of_class(group[0])})
            return rows

        steps = ("Tell" >> beam.Map(tell_task), "Count" >> beam.Map(count_task))
        quotas = {group: Quota(run.recipe.quota.per_group, 0) for group in run.recipe.groups}
        return Making(run.recipe, TELL, COUNT, planned, steps, "Keep" >> beam.Map(keep_task), quotas)

    def judge(self, run: Any, result: Any) -> Counter[int]:
        return Counter(candidate.sample["y"] for _, candidate in result.curated.selection.chosen)

    def regenerate(self, folder: Any, recipe: SentencesRecipe, samples: int, report: Any) -> Regenerated:
        def rows(place: str) -> list[Row]:
            names = [name for name in folder.current() if name.startswith(place)]
            return [row for name in names for row in manifest.read_rows(folder.root / name)[1]]

        told, sums = rows("plan/")[:samples], {row["sample_id"]: row["image_sha256"] for row in rows("raw/")}
        wrong = [row["sample_id"] for row in told if sha256(tell(row)) != sums[row["sample_id"]]]
        return Regenerated([f"sentence {key} differs" for key in wrong], f"{len(told)} sentences told again")

    pages = PAGES
