"""Edit: a phrase of a source picture is segmented and edited out, a task per shard of the edit plan (ASPIRE step 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fairshards.catalogs.manifests.identity import task_hash
from fairshards.generators.editing.base import Editor, EditRequest, EditResult
from fairshards.generators.editing.masks import Pixels, encode_mask
from fairshards.generators.editing.segmentation import MaskRequest, MaskResult, MaskSettings, Segmenter, masks
from fairshards.generators.images import BadImage, decode_image
from fairshards.transforms.edits.models import load_editor, load_segmenter_of
from fairshards.transforms.edits.specs import EditSpec
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.cut import cut
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import ShardSample, write_shard
from fairshards.transforms.shards.task import ShardTask
from fairshards.transforms.sources.pictures import source_pictures
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads

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
    return [
        ShardTask(
            Edit.stage,
            piece.value,
            task_hash("edit", spec.stage_fingerprint, piece.column("edit_id")),
            run,
            Edit.folder,
            manifest,
            piece.start,
            piece.stop,
        )
        for piece in cut(rows, "task")
    ]


def _edit(todo: OpenTask, models: LazyEditor) -> Made:
    """Segment and edit the rows of one task.

    A picture that can't be read, a phrase that masks nothing or everything, and an edit that fails are reject rows.

    Raises:
        ManifestError: a source shard isn't there, or doesn't hold what the plan says.
    """
    plan = todo.rows
    pictures, rejects = _pictures(todo.task.run, plan)
    masked = _masks([row for row in plan if row["edit_id"] in pictures], pictures, models)
    asked = [
        _request(row, pictures[row["edit_id"]], masked[row["edit_id"]])
        for row in plan
        if row["edit_id"] in masked and not masked[row["edit_id"]].reason
    ]
    results = models.editor.edit(asked, models.spec.editor.batch_size) if asked else ()
    edits = {result.sample_id: result for result in results}
    good = [row for row in plan if row["edit_id"] in edits and edits[row["edit_id"]].png is not None]
    tar, places = write_shard(_sample(row, edits[row["edit_id"]], masked[row["edit_id"]]) for row in good)
    shard = todo.publish(tar, len(good))
    rows = [rejects.get(row["edit_id"]) or _row(row["edit_id"], masked, edits, shard.name, places) for row in plan]
    facts = {"samples": len(rows), "device": models.spec.device, "batch_size": models.spec.editor.batch_size}
    return Made(rows, shard, attempt=facts)


def _pictures(run: str, plan: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Pixels], dict[str, dict[str, Any]]]:
    """Return the source picture of each edit, (H, W, 3) uint8, and the reject rows of those that can't be read."""
    pictures: dict[str, Pixels] = {}
    rejects: dict[str, dict[str, Any]] = {}
    decoded: dict[str, Pixels | BadImage] = {}
    for row, data in zip(plan, source_pictures(run, plan), strict=True):
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


class Edit(ModelStage[EditSpec]):
    """PCollection[ShardTask] of the edit plan -> PCollection[TaskRecord]; commits one shard of edits a task."""

    stage, folder, models = "edit", "edits", LazyEditor
    elements, title = "edits", "Edit"
    work = staticmethod(_edit)
