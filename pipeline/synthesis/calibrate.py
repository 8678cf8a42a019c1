"""Calibration: what filters' limits are measured on, and limits that another run measured.

Real training pictures are scored as samples of their groups would be, once, where a filter asks for it (``retain``).
Samples in support are those of the pool that passed the filters before (``decide.py``). A limit holds for
the models that it was measured with: their fingerprint goes with it, and another run's limit is refused where it
differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.identity import TASK_DIGITS, UNKNOWN_BIAS, canonical_json, digest, task_hash
from fairshards.catalogs.manifests.manifest import ManifestError
from fairshards.filters.limits import POOLED, Threshold
from fairshards.filters.pictures.near_duplicates import LIMITS, NearDuplicates, nearest_other
from fairshards.filters.pictures.silhouette import Silhouette
from fairshards.filters.registry import filter_class
from fairshards.generators.diffusion.personal import in_plain_words
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.quota import Group
from fairshards.pipeline.synthesis.plan import prompt_of
from fairshards.transforms.pictures.score_real import ScoreReal, real_score_tasks
from fairshards.transforms.pictures.specs import GeneratorSpec, ScorerSpec
from fairshards.transforms.shards import commit, embeddings

Row = Mapping[str, Any]
Values = Mapping[str, Mapping[str, list[float | None]]]


@dataclass(frozen=True)
class Real:
    """The embeddings (n, d) of a group's real training pictures, of length 1, and their ids; their silhouettes
    (n, h, w) where those were made.
    """

    names: tuple[str, ...]
    rows: Any
    silhouettes: Any = None


@dataclass(frozen=True)
class CalibrationSets:
    """What limits are measured on, beside the pool of samples.

    Attributes:
        real: Scores of real training pictures: by score, then by group.
        seen: Their embeddings, by (class, bias) group.
        borrowed: By filter, the thresholds that another run measured.
        fingerprints: What scores of "real" pictures and of "samples" rest on.
        manifests: The manifests of real pictures' scores, with content hashes.
        inputs: What a curation's identity has of this; empty where no filter is calibrated so.
    """

    real: Values = field(default_factory=dict)
    borrowed: Mapping[str, Sequence[Threshold]] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    manifests: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    seen: Mapping[Group, Real] = field(default_factory=dict)


def calibration_sets(
    run: Run[Recipe], specs: tuple[GeneratorSpec, ScorerSpec], index: str, holding: Mapping[str, frozenset[str]]
) -> CalibrationSets:
    """Score the real pictures that the recipe's filters ask for, or look the scores up, and read borrowed limits.

    The run's recipe is the one that synthesis follows, ``index`` the source's manifest; ``holding`` has the phrases of
    described real pictures, by id.

    Raises:
        RecipeError: a limit of another run was measured with other models, or isn't there.
    """
    recipe, folder = run.recipe, run.folder
    prints = fingerprints(recipe, specs)
    borrowed = _borrowed(recipe, prints) if recipe.calibration.run else {}
    inputs = [digest([vars(one) for one in own]) for own in borrowed.values()]
    if not (_compares(recipe) if recipe.calibration.run else _asks_for_real(recipe)):
        return CalibrationSets({}, borrowed, prints, {}, tuple(inputs))
    rows = list(_plan_rows(recipe, manifest.read_rows(folder.root / index)[1], holding))
    name, sha = _commit_plan(rows, folder)
    tasks = real_score_tasks(folder.path, name, rows, specs[1])
    with run.report.watch(
        "scoring real pictures to calibrate on",
        len(tasks),
        lambda: sum(commit.find(task) is not None for task in tasks),
    ):
        run.launcher.map([task for task in tasks if commit.find(task) is None], ScoreReal(specs[1]))
    records = [found for task in tasks if (found := commit.find(task))]
    scored = [row for one in records for row in manifest.read_rows(folder.root / one.manifest)[1]]
    manifests = {name: sha, **{one.manifest: one.content_sha256 for one in records}}
    seen = _seen(rows, [folder.root / one.manifest for one in records])
    inputs += [task.task_hash for task in tasks]
    if recipe.calibration.run:
        return CalibrationSets({}, borrowed, prints, manifests, tuple(inputs), seen)
    values = {**_by_group(scored), **(_real_duplicates(recipe, seen) if NearDuplicates.name in recipe.filters else {})}
    return CalibrationSets(values, {}, prints, manifests, tuple(inputs), seen)


def fingerprints(recipe: Recipe, specs: tuple[GeneratorSpec, ScorerSpec]) -> dict[str, str]:
    """Return what scores rest on, beside the prompts: of real pictures the scorer, of samples the generator, and the
    scorer where its segmenter's silhouettes are limited over samples.
    """
    generator, scorer = specs
    sampler = recipe.generator
    words = [value.wordings for value in (*recipe.classes, *recipe.bias.values)]
    prompts = [recipe.prompts.model_dump(mode="json"), words]
    said = {
        "generator": generator.fingerprint,
        "steps": sampler.steps,
        "guidance": sampler.guidance_scale,
        "eta": sampler.eta,
        "size": [sampler.height, sampler.width],
        "window": generator.window,
    }
    shapes = [scorer.stage_fingerprint] if Silhouette.name in recipe.filters or scorer.scorers else []
    return {"real": digest([scorer.stage_fingerprint, prompts]), "samples": digest([said, prompts, *shapes])}


def commit_calibrations(
    name: str,
    thresholds: Sequence[tuple[str, Threshold]],
    sets: CalibrationSets,
    inputs: Sequence[str],
    folder: RunFolder,
) -> dict[str, str]:
    """Commit the limits that a curation measured or borrowed; return the manifest's name and content hash."""
    if not thresholds:
        return {}
    rows = [
        {
            "curation_id": name,
            "filter": kind,
            "score": one.score,
            "keeps": one.keeps,
            "calibrated_on": one.over,
            "group_name": one.group,
            "retain": one.retain,
            "n": one.n,
            "dropped": one.dropped,
            "threshold": one.value,
            "low": one.low,
            "high": one.high,
            "fingerprint": sets.fingerprints.get(one.over, ""),
            "shares": [share for share, _ in one.curve],
            "limits": [value for _, value in one.curve],
            "note": one.note,
        }
        for kind, one in thresholds
    ]
    file = f"{places.CURATED}{name}/calibrations.parquet"
    given = [*inputs, *sets.manifests.values()]
    hashed = task_hash("calibrate", "calibrate/1", [f"{row['filter']}/{row['group_name']}" for row in rows], given)
    head = folder.commit(file, "calibrate", name, rows, task_hash=hashed, inputs=given)
    return {file: head.content_sha256}


def _compares(recipe: Recipe) -> list[str]:
    """Return the filters that compare samples with real pictures, in any case and not to measure a limit alone."""
    return [name for name in (NearDuplicates.name, Silhouette.name) if name in recipe.filters]


def _seen(rows: Sequence[Row], files: Sequence[Path]) -> dict[Group, Real]:
    """Return the embeddings and silhouettes of real pictures, group by group."""
    found, outlines = (embeddings.of_manifests(files, kind) for kind in (embeddings.KEY, embeddings.SILHOUETTES))
    names: dict[Group, list[str]] = defaultdict(list)
    for row in rows:
        if row["source_id"] in found:
            names[row["y"], row["b"]].append(row["source_id"])
    return {
        group: Real(
            tuple(own),
            np.stack([found[name] for name in own]),
            np.stack([outlines[name] for name in own]) if outlines else None,
        )
        for group, own in names.items()
    }


def _real_duplicates(recipe: Recipe, seen: Mapping[Group, Real]) -> Values:
    """Return what near-duplicates are calibrated on: each real picture's cosine with the nearest of its group."""
    nearest: dict[str, list[float | None]] = {
        recipe.group_name(*group): [*nearest_other(own.rows)] for group, own in seen.items()
    }
    return {limit.score: nearest for limit in LIMITS}


def _asks_for_real(recipe: Recipe) -> bool:
    return bool(_compares(recipe)) or any(
        limit.over == "real"
        for name, options in recipe.filters.items()
        for limit in filter_class(name)(**options).to_calibrate()
    )


def _plan_rows(recipe: Recipe, index: Sequence[Row], holding: Mapping[str, frozenset[str]]) -> Iterator[dict[str, Any]]:
    """Yield a row for each real training picture to score: at most ``calibration.images`` a group, drawn by hash.

    A memorised picture may be any of them, so near-duplicates need all.
    """
    groups, most = set(recipe.groups), recipe.calibration.images
    most = len(index) if NearDuplicates.name in recipe.filters else most
    chosen: dict[Any, list[Row]] = defaultdict(list)
    for row in sorted(index, key=lambda row: digest(["calibrates", row["sample_id"]])):
        group = (row["y"], row["b"] if recipe.bias.known else UNKNOWN_BIAS)
        if row["split"] == "train" and group in groups and len(chosen[group]) < most:
            chosen[group].append(row)
    wanted = [(group, number, row) for group, rows in chosen.items() for number, row in enumerate(rows)]
    for (y, b), number, row in sorted(wanted, key=lambda one: (one[2]["shard"], one[2]["offset"])):
        name = recipe.classes[y].name
        phrases = recipe.prompts.of_class(name).spurious
        free = phrases and row["sample_id"] in holding and not holding[row["sample_id"]] & set(phrases)
        yield {
            "source_id": row["sample_id"],
            "y": y,
            "class_name": name,
            "b": b,
            "bias_name": recipe.bias.values[b].name,
            "group_name": recipe.group_name(y, b),
            "prompt": in_plain_words(prompt_of(recipe, (y, b), number), name),
            "spurious": canonical_json(phrases) if free else None,
            "shard": f"{places.SOURCE}{row['shard']}",
            "offset": row["offset"],
            "size": row["size"],
            "image_sha256": row["image_sha256"],
        }


def _commit_plan(rows: list[dict[str, Any]], folder: RunFolder) -> tuple[str, str]:
    said = [[row["prompt"], row["y"], row["b"], row["spurious"], row["shard"], row["offset"]] for row in rows]
    hashed = task_hash("calibration_plan", "calibration-plan/1", [row["source_id"] for row in rows], [], said)
    name = f"{places.CALIBRATION}plan-{hashed[:TASK_DIGITS]}.parquet"
    head = folder.commit(name, "calibration_plan", "calibration", rows, task_hash=hashed, row_group=256)
    return name, head.content_sha256


def _by_group(scored: Sequence[Row]) -> Values:
    found: dict[str, dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for row in scored:
        found[row["score"]][row["group_name"]].append(row["value"] if row["status"] == "ok" else None)
    return found


def _borrowed(recipe: Recipe, prints: Mapping[str, str]) -> dict[str, list[Threshold]]:
    """Return the thresholds of another run for every filter that has ``retain``."""
    root = Path(recipe.calibration.run or "")
    rows = stored_calibrations(root, recipe.calibration.curation)
    found: dict[str, list[Threshold]] = {}
    for name, options in recipe.filters.items():
        judge = filter_class(name)(**options)
        for limit in judge.to_calibrate():
            own = [row for row in rows if row["filter"] == name and row["score"] == limit.score]
            _check_borrowed(root, name, options["retain"], limit.over, own, prints)
            found.setdefault(name, []).extend(map(_threshold, own))
    return found


def stored_calibrations(root: Path, curation: str | None) -> list[Row]:
    """Return the calibrations of a run's curation, by default of the last one that has any.

    Raises:
        RecipeError: there are none, or they can't be read.
    """
    files = sorted(
        root.glob(f"{places.CURATED}{curation or '*'}/calibrations.parquet"), key=lambda file: file.stat().st_mtime
    )
    if not files:
        raise RecipeError(
            f"calibration.run is {root}, where no curation{f' {curation}' if curation else ''} has "
            "calibrations; name a run folder whose filters have retain"
        )
    try:
        return list(manifest.read_rows(files[-1])[1])
    except ManifestError as error:
        raise RecipeError(f"calibration.run is {root}: {error}") from error


def _check_borrowed(
    root: Path, name: str, retain: float, over: str, rows: Sequence[Row], prints: Mapping[str, str]
) -> None:
    pooled = next((row for row in rows if row["group_name"] == POOLED), None)
    if pooled is None:
        raise RecipeError(
            f"calibration.run is {root}, which has no calibration of filters.{name}; set retain there, "
            "or calibrate in this run (leave calibration.run out)"
        )
    if pooled["fingerprint"] != prints[over]:
        what = "scorer" if over == "real" else "generator (weights, scheduler, steps, guidance, eta, size, window)"
        what += " or segmenter" if name == Silhouette.name else ""
        raise RecipeError(
            f"calibration.run is {root}: filters.{name} was calibrated with another {what} or other "
            f"prompts (fingerprint {pooled['fingerprint'][:12]}, this run's is {prints[over][:12]}); such a limit "
            "means nothing here: leave calibration.run out, which calibrates in this run"
        )
    if pooled["retain"] != retain:
        raise RecipeError(
            f"calibration.run is {root}: filters.{name}.retain was {pooled['retain']} there and is "
            f"{retain} here; give the same, or leave calibration.run out"
        )


def _threshold(row: Row) -> Threshold:
    curve = tuple(zip(row["shares"] or (), row["limits"] or (), strict=True))
    return Threshold(
        row["score"],
        row["keeps"],
        row["calibrated_on"],
        row["group_name"],
        row["retain"],
        row["n"],
        row["dropped"],
        row["threshold"],
        row["low"],
        row["high"],
        curve,
        row["note"],
    )
