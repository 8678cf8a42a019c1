"""Check a run against its manifests, regenerate some of its samples, and collect orphans."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import digest
from fairshards.catalogs.manifests.manifest import Head, ManifestError
from fairshards.pipeline.discovery.adoption import VERSION as ADOPTED
from fairshards.pipeline.pictures.models import generator_spec
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.records import EhrRecipe
from fairshards.pipeline.records.fit import MODEL
from fairshards.pipeline.records.regenerate import check_model, redrawn
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter
from fairshards.trainers.personal.record import read_personalised
from fairshards.transforms.pictures.generate import LazyGenerator, regenerate, regenerate_alone
from fairshards.transforms.pictures.specs import GeneratorSpec, personalised_fingerprint
from fairshards.transforms.shards import embeddings
from fairshards.transforms.shards.tars import sha256, slice_of
from fairshards.transforms.shards.task import ShardTask

TOLERANCE = 2
"""Grey levels by which a regenerated pixel may differ on another machine (field: one level, rarely two)."""


def verify(folder: RunFolder, recipe: RecipeBase, samples: int, clean: bool, console: Console) -> int:
    """Check every current shard, regenerate ``samples`` samples, delete orphans with ``clean``.

    Returns:
        The exit code: 0 when all is as committed, 1 when something differs, or can't be cleaned yet.

    Raises:
        RunFolderError: ``clean``, and another process runs this folder; its PID is named.
    """
    seen: list[str] = []
    report = Reporter(console)
    with report.watch("checking manifests and shards", len(folder.current()), lambda: len(seen)):
        problems = list(check_shards(folder, seen))
    for problem in problems:
        console.print(f"[red]{escape(problem)}[/]", soft_wrap=True)
    console.print(f"{len(folder.current())} manifests and their shards checked: {len(problems)} problems")
    if samples and isinstance(recipe, EhrRecipe):
        problems += redrawn(folder, samples, console)
    elif samples and isinstance(recipe, Recipe):
        problems += _regenerated(folder, recipe, samples, console, report)
    if clean:
        with folder.writing():
            cleaned = _clean(folder, console)
        return 1 if problems or not cleaned else 0
    if orphans := list(find_orphans(folder)):
        console.print(f"{len(orphans)} files that no current manifest names; --clean deletes them")
    return 1 if problems else 0


def _clean(folder: RunFolder, console: Console) -> bool:
    """Delete the orphans and return True; delete nothing after a run that was stopped, whose work they may be."""
    orphans = list(find_orphans(folder))
    if orphans and not folder.finished():
        root = shlex.quote(folder.path)
        console.print(
            f"{len(orphans)} files that no current manifest names were kept: the last run here didn't come to its end, "
            f"and they may be its work. Finish it with `fairshards run {escape(root)}/recipe.yaml -o {escape(root)}`, "
            "or with the command that began it; then --clean deletes what is left over",
            soft_wrap=True,
        )
        return False
    for path in orphans:
        path.unlink()
    console.print(f"{len(orphans)} files that no current manifest names were deleted")
    return True


def check_shards(folder: RunFolder, seen: list[str] | None = None) -> Iterator[str]:
    """Yield what is wrong with the current manifests and the tars that they name; ``seen`` gets each name in turn."""
    for name in folder.current():
        if seen is not None:
            seen.append(name)
        try:
            head, _ = manifest.read_rows(folder.root / name)
        except ManifestError as error:
            yield str(error)
            continue
        if beside := head.settings.get(embeddings.KEY):
            yield from _check_tar((folder.root / name).parent / beside["name"], beside["sha256"])
        if head.stage == "fit":
            yield from check_model((folder.root / name).parent / MODEL, head)
        if head.shard:
            yield from _check_tar((folder.root / name).parent / head.shard.name, head.shard.sha256)
        elif head.stage == "index" and "curated" in name:
            for shard in head.settings["shards"]:
                yield from _check_tar((folder.root / name).parent / shard["name"], shard["sha256"])


def _check_tar(path: Path, expected: str) -> Iterator[str]:
    if not path.exists():
        yield f"{path} is missing; run the recipe again to make it"
    elif (found := sha256(path.read_bytes())) != expected:
        yield f"{path} has checksum {found[:12]}, committed was {expected[:12]}; delete it and run the recipe again"


def find_orphans(folder: RunFolder) -> Iterator[Path]:
    """Yield files of earlier attempts or of superseded tasks: tars and manifests that nothing current names.

    A file that a run which is still at work, or was stopped, has made and not yet listed is among them.
    """
    wanted = {folder.root / name for name in folder.current()}
    for name in folder.current():
        place, head = (folder.root / name).parent, manifest.read_head(folder.root / name)
        wanted |= {place / head.shard.name} if head.shard else set()
        wanted |= {place / MODEL} if head.stage == "fit" else set()
        wanted |= {place / beside["name"]} if (beside := head.settings.get(embeddings.KEY)) else set()
        if head.stage == "index" and name.startswith("curated/"):
            wanted |= set(_of_curation(place, head))
    for stage in ("source", "plan", "raw", "scores", "calibration", "curated", "models", "evaluation"):
        for path in sorted((folder.root / stage).rglob("*")):
            if path.is_file() and path not in wanted:
                yield path


def _of_curation(place: Path, index: Head) -> Iterator[Path]:
    """Yield a curation's files: its selection, the shards that its index names, and the manifests that commit them."""
    named = {shard["name"]: shard["sha256"] for shard in index.settings["shards"]}
    yield place / "selection.parquet"
    yield from (place / name for name in named)
    for path in place.glob("*.parquet"):
        with contextlib.suppress(ManifestError):
            shard = manifest.read_head(path).shard
            if shard and named.get(shard.name) == shard.sha256:
                yield path


def _regenerated(folder: RunFolder, recipe: Recipe, samples: int, console: Console, report: Reporter) -> list[str]:
    """Make ``samples`` samples again, drawn by hash, in their own padded batches and each alone, and compare pixels."""
    drawn, done = _drawn(folder, samples), [0]
    with report.watch("regenerating", sum(map(len, drawn.values())), lambda: done[0]):
        problems, worst = _compared(folder, recipe, drawn, done)
    for problem in problems:
        console.print(f"[red]{problem}[/]", soft_wrap=True)
    console.print(
        f"{done[0]} samples regenerated, in their own batches and each alone: largest difference {worst} grey levels "
        f"(tolerance {TOLERANCE})",
        soft_wrap=True,
    )
    return problems


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
    homes = [(folder.root / name).parent for name in folder.current() if name.startswith("personal/")]
    if not homes:
        return spec
    known = personalised_fingerprint(spec.fingerprint, [read_personalised(home).fingerprint for home in homes])
    return replace(spec, personal=tuple(map(str, homes)), fingerprint=known)


def _drawn(folder: RunFolder, samples: int) -> dict[str, set[str]]:
    """Return the drawn samples by raw manifest; edits that became samples aren't the generator's to make again."""
    ids = [
        (row["sample_id"], name)
        for name in folder.current()
        if name.startswith("raw/") and manifest.read_head(folder.root / name).fingerprint != ADOPTED
        for row in manifest.read_rows(folder.root / name)[1]
    ]
    drawn: dict[str, set[str]] = {}
    for sample, name in sorted(ids, key=lambda pair: digest(["verify", pair[0]]))[:samples]:
        drawn.setdefault(name, set()).add(sample)
    return drawn


def _task(folder: RunFolder, head: manifest.Head) -> ShardTask:
    """Return the generate task of a raw manifest: where in which plan its rows stand."""
    for name in folder.current():
        if name.startswith("plan/"):
            rows = manifest.read_rows(folder.root / name)[1]
            places = [number for number, row in enumerate(rows) if row["task"] == head.task]
            if places:
                return ShardTask(
                    "generate", head.task, head.task_hash, folder.path, "raw", name, places[0], places[-1] + 1
                )
    raise ManifestError(f"no current plan holds task {head.task}")


def _gap(stored: bytes, made: bytes | None) -> int:
    """Return the largest difference of two pictures in grey levels; 255 when one is missing."""
    if made is None:
        return 255
    left, right = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int16) for data in (stored, made))
    return int(np.abs(left - right).max()) if left.shape == right.shape else 255


__all__ = ["check_shards", "find_orphans", "verify"]
