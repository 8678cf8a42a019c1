"""The language stage: captions of the source's images and the phrases in them, in one Beam job (ASPIRE steps 1, 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.pictures.discovery_models import DiscoverySpecs
from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.run.context import Run
from fairshards.pipeline.run.jobs import finished
from fairshards.transforms.language.caption import Caption, caption_tasks
from fairshards.transforms.language.extract import Extract
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask, TaskRecord

Row = dict[str, Any]
_KINDS = {"foreground": "name objects", "background": "a background", "alternative": "an alternative"}


def language_stage(
    run: Run[Recipe], index: str, rows: Sequence[Row], specs: DiscoverySpecs
) -> tuple[dict[str, str], list[Row], list[Row]]:
    """Describe the images and take the phrases out; return manifests with content hashes, captions and phrases.

    Raises:
        RecipeError: no image got a caption, or no caption a phrase; the message counts the reasons.
    """
    folder, settings = run.folder, run.recipe.discovery
    assert settings is not None
    tasks = caption_tasks(folder.path, index, rows, specs.captioner, settings.task_size)
    todo = [task for task in tasks if _extracted(task, specs) is None]
    total = sum(map(len, tasks))
    with run.report.watch("describing images, extracting phrases", total, lambda: _done(tasks, specs)):
        run.launcher.map(todo, Caption(specs.captioner), Extract(specs.extractor))
    manifests: dict[str, str] = {}
    captions: list[Row] = []
    phrases: list[Row] = []
    for task in tasks:
        for committed, into in ((commit.find(task), captions), (_extracted(task, specs), phrases)):
            record = finished(committed, task)
            manifests[record.manifest] = record.content_sha256
            into += manifest.read_rows(folder.root / record.manifest)[1]
    _check("image", "caption", captions)
    _check("caption", "phrase", phrases)
    run.report.say(_said(captions, phrases, [manifest.read_attempt(folder.root / name) for name in manifests]))
    return manifests, captions, phrases


def _extracted(task: ShardTask, specs: DiscoverySpecs) -> TaskRecord | None:
    captioned = commit.find(task)
    return commit.find(Extract.task_of(captioned, specs.extractor)) if captioned else None


def _done(tasks: Sequence[ShardTask], specs: DiscoverySpecs) -> int:
    return sum(len(task) for task in tasks if _extracted(task, specs) is not None)


def _said(captions: Sequence[Row], phrases: Sequence[Row], attempts: Sequence[Mapping[str, Any]]) -> str:
    """Return the run's line: of how many captions each kind of phrase is known, and what it took."""
    usable = sum(row["status"] == "ok" for row in captions)
    having = Counter(kind for _, kind in {(row["source_id"], row["kind"]) for row in phrases if row["status"] == "ok"})
    kinds = ", ".join(f"{having[kind]} {what}" for kind, what in _KINDS.items())
    told = [f"phrases: of {usable} captions {kinds}"]
    if further := sum(one.get("further", 0) for one in attempts):
        told.append(f"{further} further questions for what was missing")
    if cut := sum(one.get("cut", 0) for one in attempts):
        told.append(f"{cut} captions or answers cut off by max_new_tokens")
    told += sorted({f"answers {one['answers']}" for one in attempts if one.get("answers")})
    return "; ".join(told)


def _check(of: str, what: str, rows: Sequence[Row]) -> None:
    if rows and all(row["status"] == "reject" for row in rows):
        example = rows[0]
        raise RecipeError(
            f"no {of} gave a usable {what}: {len(rows)} rejects, the first for {example['reason']}: "
            f"{example['detail']}. Try another discovery.{'captioner' if what == 'caption' else 'extractor'}"
        )
