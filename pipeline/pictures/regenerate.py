"""Making pictures of a run again and comparing them with those that are stored, grey level by grey level."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from PIL import Image

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.pipeline.pictures.making import ADOPTED
from fairshards.pipeline.pictures.models import generator_spec
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.checks import Regenerated
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.personal.record import read_personalised
from fairshards.transforms.pictures.generate import LazyGenerator, regenerate, regenerate_alone
from fairshards.transforms.pictures.specs import GeneratorSpec, personalised_fingerprint
from fairshards.transforms.shards.tars import slice_of
from fairshards.transforms.shards.task import ShardTask

TOLERANCE = 2
"""Grey levels by which a regenerated pixel may differ on another machine (field: one level, rarely two)."""


def regenerated(folder: RunFolder, recipe: Recipe, samples: int, report: Reporter) -> Regenerated:
    """Make ``samples`` samples again, drawn by hash, in their own padded batches and each alone, and compare pixels."""
    drawn, done = _drawn(folder, samples), [0]
    with report.watch("regenerating", sum(map(len, drawn.values())), lambda: done[0]):
        problems, worst = _compared(folder, recipe, drawn, done)
    return Regenerated(
        problems,
        f"{done[0]} samples regenerated, in their own batches and each alone: largest difference {worst} grey levels "
        f"(tolerance {TOLERANCE})",
    )


def _compared(
    folder: RunFolder, recipe: Recipe, drawn: Mapping[str, set[str]], done: list[int]
) -> tuple[list[str], int]:
    """Return what differs and the largest difference in grey levels; ``done`` counts samples."""
    lazy, problems, worst = LazyGenerator(_taught(folder, generator_spec(recipe))), [], 0
    for raw, wanted in drawn.items():
        head, rows = manifest.read_rows(folder.root / raw)
        if head.fingerprint != lazy.spec.stage_fingerprint:
            return [f"{raw} was made by another model, version or batch size than the recipe now resolves to"], worst
        tar = (folder.root / "raw" / head.shard.name).read_bytes() if head.shard else b""
        good = {row["sample_id"]: row for row in rows if row["sample_id"] in wanted and row["status"] == "ok"}
        task = _task(folder, head)
        for where, again in (("the batch that it was made in", regenerate), ("a batch alone", regenerate_alone)):
            for result in again(task, lazy, set(good)):
                row = good[result.sample_id]
                gap = _gap(slice_of(tar, row["offset"], row["size"]), result.png)
                worst = max(worst, gap)
                if gap > TOLERANCE:
                    problems.append(f"sample {result.sample_id} differs by {gap} grey levels in {where}")
        done[0] += len(good)
    return problems, worst


def _taught(folder: RunFolder, spec: GeneratorSpec) -> GeneratorSpec:
    """Return the spec with what the run taught the model, as its spurious-free pictures were made."""
    homes = [(folder.root / name).parent for name in folder.current() if name.startswith(places.PERSONAL)]
    if not homes:
        return spec
    known = personalised_fingerprint(spec.fingerprint, [read_personalised(home).fingerprint for home in homes])
    return replace(spec, personal=tuple(map(str, homes)), fingerprint=known)


def _drawn(folder: RunFolder, samples: int) -> dict[str, set[str]]:
    """Return the drawn samples by raw manifest; edits that became samples aren't the generator's to make again."""
    ids = [
        (row["sample_id"], name)
        for name in folder.current()
        if name.startswith(places.RAW) and manifest.read_head(folder.root / name).fingerprint != ADOPTED
        for row in manifest.read_rows(folder.root / name)[1]
    ]
    drawn: dict[str, set[str]] = {}
    for sample, name in sorted(ids, key=lambda pair: digest(["verify", pair[0]]))[:samples]:
        drawn.setdefault(name, set()).add(sample)
    return drawn


def _task(folder: RunFolder, head: manifest.Head) -> ShardTask:
    """Return the generate task of a raw manifest: where in which plan its rows stand."""
    for name in folder.current():
        if name.startswith(places.PLAN):
            rows = manifest.read_rows(folder.root / name)[1]
            numbers = [number for number, row in enumerate(rows) if row["task"] == head.task]
            if numbers:
                return ShardTask(
                    "generate", head.task, head.task_hash, folder.path, "raw", name, numbers[0], numbers[-1] + 1
                )
    raise ManifestError(f"no current plan holds task {head.task}")


def _gap(stored: bytes, made: bytes | None) -> int:
    """Return the largest difference of two pictures in grey levels; 255 when one is missing."""
    if made is None:
        return 255
    left, right = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int16) for data in (stored, made))
    return int(np.abs(left - right).max()) if left.shape == right.shape else 255
