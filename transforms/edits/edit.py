"""Edit: a phrase of a source picture is segmented and edited out, a task per shard of the edit plan (ASPIRE step 4)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import apache_beam as beam
import numpy as np

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.generators.editing.base import Editor, EditRequest, EditResult
from fairshards.generators.editing.masks import Pixels, encode_mask
from fairshards.generators.editing.segmentation import MaskRequest, MaskResult, MaskSettings, Segmenter, masks
from fairshards.generators.images import BadImage, decode_image
from fairshards.transforms.edits.models import load_editor, load_segmenter_of
from fairshards.transforms.edits.specs import EditSpec
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.tars import ShardSample, write_shard
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.sources.pictures import source_pictures
from fairshards.transforms.stage import LazyModels, StageHandler, use_threads

WHOLE = MaskResult(None, 1.0)
"""The mask of an edit without a segmenter: the editor may change all."""


class LazyEditor(LazyModels[EditSpec]):
    """Holds segmenter and editor."""

    @cached_property
    def segmenter(self) -> Segmenter | None:
        """The loaded segmenter, where the stage has one."""
        if self.spec.segmenter is None:
            return None
        use_threads(self.spec.threads)
        return load_segmenter_of(self.spec.segmenter, self.spec.device)

    @cached_property
    def editor(self) -> Editor:
        """The loaded editor."""
        use_threads(self.spec.threads)
        return load_editor(self.spec.editor, self.spec.device)


def edit_tasks(run: str, manifest: str, rows: Sequence[Mapping[str, Any]], spec: EditSpec) -> list[ShardTask]:
    """Return one edit task per name in the rows' column ``task``, in the order of the rows.

    Raises:
        ValueError: a row is for another kind of editor than the stage's.
    """
    wrong = [row for row in rows if row["editor"] != spec.editor.kind]
    if wrong:
        raise ValueError(
            f"edit {wrong[0]['edit_id']} is planned for editor {wrong[0]['editor']!r}, but this stage has "
            f"{spec.editor.kind!r}; run a stage for each kind, over its own rows"
        )
    tasks, start = [], 0
    for position in range(1, len(rows) + 1):
        if position == len(rows) or rows[position]["task"] != rows[start]["task"]:
            ids = [row["edit_id"] for row in rows[start:position]]
            hashed = task_hash("edit", spec.stage_fingerprint, ids)
            tasks.append(ShardTask("edit", rows[start]["task"], hashed, run, "edits", manifest, start, position))
            start = position
    return tasks


def edit_task(task: ShardTask, lazy: LazyEditor) -> TaskRecord:
    """Segment, edit and commit the rows of one task; a finished task is only looked up.

    A picture that can't be read, a phrase that masks nothing or everything, and an edit that fails are reject rows.

    Raises:
        ManifestError: a source shard isn't there, or doesn't hold what the plan says.
        Exception: whatever the machine or a model raises (memory, disk, weights); never a bad sample.
    """
    if found := commit.find(task):
        return found
    with lazy.lock:
        return _edit(task, lazy)


def _edit(task: ShardTask, lazy: LazyEditor) -> TaskRecord:
    started = time.time()
    plan = commit.read_task_rows(task)
    pictures, rejects = _pictures(task, plan)
    masked = _masks([row for row in plan if row["edit_id"] in pictures], pictures, lazy)
    asked = [
        _request(row, pictures[row["edit_id"]], masked[row["edit_id"]])
        for row in plan
        if row["edit_id"] in masked and not masked[row["edit_id"]].reason
    ]
    made = lazy.editor.edit(asked, lazy.spec.editor.batch_size) if asked else ()
    edits = {result.sample_id: result for result in made}
    good = [row for row in plan if row["edit_id"] in edits and edits[row["edit_id"]].png is not None]
    tar, places = write_shard(_sample(row, edits[row["edit_id"]], masked[row["edit_id"]]) for row in good)
    shard = commit.publish_shard(task, tar, len(good))
    rows = [rejects.get(row["edit_id"]) or _row(row["edit_id"], masked, edits, shard.name, places) for row in plan]
    facts = {"samples": len(rows), "device": lazy.spec.device, "batch_size": lazy.spec.editor.batch_size}
    return commit.commit(
        task, rows, fingerprint=lazy.spec.stage_fingerprint, shard=shard, attempt=commit.attempt(started, **facts)
    )


def _pictures(
    task: ShardTask, plan: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Pixels], dict[str, dict[str, Any]]]:
    """Return the source picture of each edit, (H, W, 3) uint8, and the reject rows of those that can't be read."""
    pictures: dict[str, Pixels] = {}
    rejects: dict[str, dict[str, Any]] = {}
    decoded: dict[str, Pixels | BadImage] = {}
    for row, data in zip(plan, source_pictures(task.run, plan), strict=True):
        if row["source_sha256"] not in decoded:
            decoded[row["source_sha256"]] = _decoded(data)
        picture = decoded[row["source_sha256"]]
        if isinstance(picture, BadImage):
            rejects[row["edit_id"]] = _reject(row["edit_id"], "unreadable_image", str(picture))
        else:
            pictures[row["edit_id"]] = picture
    return pictures, rejects


def _decoded(data: bytes) -> Pixels | BadImage:
    try:
        return np.array(decode_image(data))
    except BadImage as error:
        return error


def _masks(
    rows: Sequence[Mapping[str, Any]], pictures: Mapping[str, Pixels], lazy: LazyEditor
) -> dict[str, MaskResult]:
    """Return the mask of each edit, or why it has none; without a segmenter all may change."""
    spec = lazy.spec.segmenter
    if spec is None or lazy.segmenter is None:
        return {row["edit_id"]: WHOLE for row in rows}
    requests = [
        MaskRequest(pictures[row["edit_id"]], row["mask_phrase"], row["kind"], tuple(row["keep_phrases"]))
        for row in rows
    ]
    settings = MaskSettings(spec.dilate, spec.min_share, spec.max_share)
    made = masks(lazy.segmenter, requests, spec.batch_size, settings)
    return {row["edit_id"]: mask for row, mask in zip(rows, made, strict=True)}


def _request(row: Mapping[str, Any], picture: Pixels, mask: MaskResult) -> EditRequest:
    """Return what a plan row asks of the editor."""
    names = ("noise_seed", "prompt", "negative_prompt", "guidance_scale", "steps", "eta")
    return EditRequest(sample_id=row["edit_id"], image=picture, mask=mask.mask, **{name: row[name] for name in names})


def _sample(row: Mapping[str, Any], result: EditResult, mask: MaskResult) -> ShardSample:
    names = (
        "source_id",
        "class_name",
        "kind",
        "phrase",
        "phrase_group",
        "replacement",
        "prompt",
        "negative_prompt",
        "noise_seed",
        "steps",
        "guidance_scale",
        "eta",
        "editor",
        "editor_fingerprint",
    )
    facts = {"g": 1, "y": row["y"], "mask_share": mask.share, **{name: row[name] for name in names}}
    assert result.png is not None
    kept = encode_mask(mask.mask) if mask.mask is not None else None
    return ShardSample(row["edit_id"], result.png, "png", row["y"], facts, row["prompt"], kept)


def _row(
    edit: str,
    masked: Mapping[str, MaskResult],
    edits: Mapping[str, EditResult],
    shard: str,
    places: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    mask, made = masked[edit], edits.get(edit)
    if made is None or made.status == "reject":
        reason, detail = (made.reason, made.detail) if made else (mask.reason, mask.detail)
        return _reject(edit, str(reason), detail, mask.share)
    offset, size = places[edit]
    return {
        "edit_id": edit,
        "shard": shard,
        "offset": offset,
        "size": size,
        "image_sha256": made.image_sha256,
        "width": made.width,
        "height": made.height,
        "mask_share": mask.share,
        "status": "ok",
        "reason": None,
        "detail": made.detail,
    }


def _reject(edit: str, reason: str, detail: str | None, share: float | None = None) -> dict[str, Any]:
    return {"edit_id": edit, "mask_share": share, "status": "reject", "reason": reason, "detail": detail}


@dataclass
class Edit(beam.PTransform):  # type: ignore[misc]
    """PCollection[ShardTask] of the edit plan -> PCollection[TaskRecord]; commits one shard of edits a task."""

    spec: EditSpec

    def expand(self, tasks: Any) -> Any:
        """Wire the step."""
        handler = StageHandler(self.spec, LazyEditor, edit_task)
        return tasks | "Spread the edits" >> beam.Reshuffle() | "Edit" >> handler.step()
