"""What the stages work on in their benchmark: pictures of the pocket world, and the committed tasks of each stage.

A stage's own inputs are made here by the stages before it, or stand for what these would make; nothing here is timed.
The same pictures also lie in a folder as PNG files, as a script would find them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import digest, noise_seed, sample_id
from fairshards.catalogs.manifests.manifest import Head
from fairshards.generators.images import encode_png
from fairshards.pipeline.kinds import load_recipe
from fairshards.pipeline.pictures.discovery_models import DiscoverySpecs, discovery_specs
from fairshards.pipeline.pictures.models import generator_spec
from fairshards.pipeline.recipe.discovery import Discovery
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.pool import commit_plan
from fairshards.pocket.world import biased_counts, samples, shuffled_groups
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.tars import ShardSample, sha256, write_shard
from fairshards.transforms.shards.task import ShardTask, TaskRecord

Row = dict[str, Any]
SHARD = "source/train-000000.tar"
INDEX = "source/index.parquet"
EDITS = "plan/edits.parquet"


class Inputs:
    """A run folder of ``items`` source pictures under ``root``, and the tasks over them.

    Attributes:
        recipe: pocket-aspire, with ``overrides`` ("key=value") and its cache of answers in the folder.
        pictures: By source id, the file of each picture, in the order of the index.
    """

    def __init__(self, root: Path, items: int, overrides: Sequence[str] = ()) -> None:
        self.folder = RunFolder(root)
        self.answers = root / "answers"
        self.recipe: Recipe = load_recipe("pocket-aspire", [f"discovery.cache={self.answers}", *overrides])
        self.index = write_source(root, items)
        self.pictures = {row["sample_id"]: root / "pictures" / f"{row['sample_id']}.png" for row in self.index}

    @property
    def settings(self) -> Discovery:
        """The recipe's discovery."""
        assert self.recipe.discovery is not None
        return self.recipe.discovery

    @cached_property
    def specs(self) -> DiscoverySpecs:
        """The specs of captions, phrases and edits."""
        return discovery_specs(self.recipe, self.settings)

    def raw_records(self) -> tuple[list[TaskRecord], list[Row]]:
        """Commit raw shards whose pictures are the source's, and return their records and plan rows."""
        spec, size = generator_spec(self.recipe), self.recipe.quota.shard_size
        shards = range(-(-len(self.index) // size))
        plan = [
            row
            for number in shards
            for row in planning.shard_rows(self.recipe, spec, self.recipe.groups[number % 4], number // 4, 0)
        ]
        plan = plan[: len(self.index)]
        name, _ = commit_plan(self.recipe, "bench", plan, self.folder)
        tasks = planning.tasks_of(self.folder.path, name, plan, spec.stage_fingerprint)
        files = list(self.pictures.values())
        parts = [(task, slice(task.start, task.stop)) for task in tasks]
        return [_as_generated(task, plan[part], files[part]) for task, part in parts], plan

    def edit_rows(self) -> list[Row]:
        """Commit a plan of one edit a picture, the object and the background in turn, and return its rows."""
        size = self.settings.editor.task_size
        rows = [
            {**self._edit(number, place), "task": f"edits-{number // size:05d}"}
            for number, place in enumerate(self.index)
        ]
        data, _ = manifest.encode(Head("edit_plan", "edits", digest(rows)), rows, {})
        manifest.write_local(self.folder.root / EDITS, data)
        return rows

    def _edit(self, number: int, place: Row) -> Row:
        editor, behind = self.settings.editor, bool(number % 2)
        replacement = ("water", "land")[place["y"]]
        asked = {
            "source_id": place["sample_id"],
            "y": place["y"],
            "class_name": place["class_name"],
            "kind": "background" if behind else "foreground",
            "phrase": replacement if behind else "a bird",
            "replacement": replacement if behind else None,
            "mask_phrase": "a bird",
            "keep_phrases": [],
            "editor": editor.kind,
            "prompt": f"a photo of a {place['class_name']} on {replacement}" if behind else f"a photo of {replacement}",
            "negative_prompt": editor.negative,
            "steps": editor.steps,
            "guidance_scale": editor.guidance_scale,
            "eta": editor.eta,
        }
        return {
            "edit_id": sample_id(asked, self.specs.edit.editor.fingerprint),
            "noise_seed": noise_seed(asked),
            **asked,
            "phrase_group": asked["phrase"],
            "editor_fingerprint": self.specs.edit.editor.fingerprint,
            "settings": "{}",
            "source_shard": SHARD,
            "source_offset": place["offset"],
            "source_size": place["size"],
            "source_sha256": place["image_sha256"],
        }


def write_source(root: Path, items: int) -> list[Row]:
    """Render ``items`` pictures into a source shard and into files, and return the rows of their index."""
    made = list(samples("train", 0, shuffled_groups(biased_counts(items, 0.97)), None))
    pictures = {digest(["source", number])[:32]: encode_png(sample.image) for number, sample in enumerate(made)}
    tar, places = write_shard(
        ShardSample(key, picture, "png", sample.scene.label, {}, sample.caption)
        for (key, picture), sample in zip(pictures.items(), made, strict=True)
    )
    manifest.write_local(root / SHARD, tar)
    for key, picture in pictures.items():
        manifest.write_local(root / "pictures" / f"{key}.png", picture)
    rows = [
        {
            "sample_id": key,
            "split": "train",
            "y": sample.scene.label,
            "class_name": sample.scene.class_name,
            "g": 0,
            "shard": SHARD.rpartition("/")[2],
            "offset": places[key][0],
            "size": places[key][1],
            "image_sha256": sha256(picture),
        }
        for (key, picture), sample in zip(pictures.items(), made, strict=True)
    ]
    manifest.write_local(root / INDEX, manifest.encode(Head("index", "source-index", digest(rows)), rows, {})[0])
    return rows


def _as_generated(task: ShardTask, plan: Sequence[Row], files: Sequence[Path]) -> TaskRecord:
    """Commit a generate task with the pictures in ``files``, one a plan row."""
    pairs = list(zip(plan, [file.read_bytes() for file in files], strict=True))
    tar, places = write_shard(
        ShardSample(row["sample_id"], png, "png", row["y"], {}, row["prompt"]) for row, png in pairs
    )
    shard = commit.publish_shard(task, tar, len(pairs))
    rows = [
        {
            "sample_id": row["sample_id"],
            "status": "ok",
            "shard": shard.name,
            "offset": places[row["sample_id"]][0],
            "size": places[row["sample_id"]][1],
            "image_sha256": sha256(png),
        }
        for row, png in pairs
    ]
    return commit.commit(task, commit.Made(rows, shard), "", {})
