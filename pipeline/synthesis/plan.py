"""The plan: one row per sample to make, in whole shards, so that larger quotas and later rounds only append."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fairshards.catalogs.manifests.identity import canonical_json, digest, noise_seed, sample_id, task_hash
from fairshards.pipeline.recipe.pictures import ClassPrompt, Recipe
from fairshards.pipeline.run.planned import Planned
from fairshards.pipeline.run.quota import Group
from fairshards.transforms.pictures.specs import GeneratorSpec
from fairshards.transforms.shards.cut import cut
from fairshards.transforms.shards.task import ShardTask

Row = dict[str, Any]
LONGEST_NAME = 120
"""Bytes of a group's part of a file name: of the 255 that a file system takes, hashes and a suffix need the rest."""


def shard_rows(recipe: Recipe, spec: GeneratorSpec, group: Group, shard: int, round_number: int) -> list[Row]:
    """Return the plan rows of shard ``shard`` of a group: its replicates [kS, (k+1)S)."""
    size = recipe.quota.shard_size
    return [
        _row(recipe, spec, group, replicate, shard_name(recipe, group, shard), round_number)
        for replicate in range(shard * size, (shard + 1) * size)
    ]


def shard_name(recipe: Planned, group: Group, shard: int) -> str:
    """Return the readable name of a generate task: "landbird-water-0003"; of a very long group name its beginning."""
    name = "-".join(_slug(part) for part in recipe.group_name(*group).split("|"))
    if len(name.encode()) > LONGEST_NAME:
        name = f"{name.encode()[:LONGEST_NAME].decode(errors='ignore')}-{group[0]}_{group[1]}"
    return f"{name}-{shard:04d}"


def shards_for(samples: int, size: int) -> int:
    """Return how many whole shards hold ``samples``."""
    return math.ceil(samples / size)


def first_round(recipe: Planned, totals: Mapping[Group, int]) -> dict[Group, int]:
    """Return how many shards of each group the first round makes: the quota and the surplus."""
    size = recipe.quota.shard_size
    return {
        group: shards_for(math.ceil(total * (1 + recipe.quota.surplus)), size) if total else 0
        for group, total in totals.items()
    }


def next_round(
    recipe: Planned, made: Mapping[Group, int], passed: Mapping[Group, int], missing: Mapping[Group, int]
) -> dict[Group, int]:
    """Return how many further shards each group needs, from the acceptance seen so far.

    ``made`` and ``passed`` count samples. An acceptance below 25% is taken for 25%: a judge that
    rejects everything costs four times what is missing, not the whole budget.
    """
    size = recipe.quota.shard_size
    rates = {group: max(0.25, passed[group] / made[group] if made[group] else 1.0) for group in missing}
    return {group: shards_for(math.ceil(count / rates[group]), size) for group, count in missing.items() if count}


def tasks_of(run: str, manifest: str, rows: Sequence[Row], stage_fingerprint: str) -> list[ShardTask]:
    """Return one generate task per shard name, in the order of the rows."""
    return [
        ShardTask(
            "generate",
            piece.value,
            task_hash("generate", stage_fingerprint, piece.column("sample_id")),
            run,
            "raw",
            manifest,
            piece.start,
            piece.stop,
        )
        for piece in cut(rows, "task")
    ]


def _row(recipe: Recipe, spec: GeneratorSpec, group: Group, replicate: int, task: str, round_number: int) -> Row:
    y, b = group
    name = recipe.group_name(y, b)
    prompt = prompt_of(recipe, group, replicate)
    settings, own = recipe.generator, recipe.prompts.of_class(recipe.classes[y].name)
    negative = recipe.prompts.negative if own.negative is None else own.negative
    sampler = {
        "steps": settings.steps,
        "height": settings.height,
        "width": settings.width,
        "eta": settings.eta,
        "scheduler": settings.scheduler,
    }
    determinants = {
        "kind": "text-to-image",
        "prompt": prompt,
        "negative_prompt": negative,
        "guidance": {"form": "classifier-free", "scale": settings.guidance_scale, **_perp_neg(own)},
        "group": name,
        "replicate": replicate,
        "seed": recipe.seed,
        "sampler": sampler,
    }
    return {
        "sample_id": sample_id(determinants, spec.fingerprint),
        "noise_seed": noise_seed(determinants),
        "kind": "text-to-image",
        "round": round_number,
        "task": task,
        "replicate": replicate,
        "y": y,
        "class_name": recipe.classes[y].name,
        "b": b,
        "bias_name": recipe.bias.values[b].name,
        "group_name": name,
        "prompt": prompt,
        "negative_prompt": negative,
        "guidance_scale": settings.guidance_scale,
        "steps": settings.steps,
        "height": settings.height,
        "width": settings.width,
        "eta": settings.eta,
        "generator": settings.model,
        "generator_fingerprint": spec.fingerprint,
        "settings": canonical_json(sampler),
        "negatives": canonical_json(own.negatives) if own.negatives else None,
        "spurious": canonical_json(own.spurious) if own.spurious else None,
    }


def _perp_neg(own: ClassPrompt) -> dict[str, Any]:
    """Return what Perp-Neg adds to a sample's identity; nothing without negatives, so that plain ids stay."""
    return {"form": "perp-neg", "negatives": own.negatives} if own.negatives else {}


def prompt_of(recipe: Recipe, group: Group, replicate: int) -> str:
    """Return the prompt of a replicate: template and wordings drawn by hash, uniformly and for ever."""
    y, b = group
    key = {"seed": recipe.seed, "group": recipe.group_name(y, b), "replicate": replicate}
    template = _pick(recipe.prompts.templates, {**key, "of": "template"})
    words = {
        "class": _pick(recipe.classes[y].wordings, {**key, "of": "class"}),
        "bias": _pick(recipe.bias.values[b].wordings, {**key, "of": "bias"}),
    }
    return template.format(**words)


def _pick(choices: Sequence[str], key: Mapping[str, Any]) -> str:
    return choices[int(digest(dict(key))[:16], 16) % len(choices)]


def _slug(text: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in text.lower())
