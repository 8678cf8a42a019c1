"""The language stage: captions of the source's images and the phrases in them, in one Beam job (ASPIRE steps 1, 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catalogs import manifest
from pipeline.discovery_models import DiscoverySpecs
from pipeline.jobs import Launcher
from pipeline.progress import Reporter
from pipeline.recipe import RecipeError
from pipeline.runfolder import RunFolder
from transforms import commit
from transforms.caption import Caption, caption_tasks
from transforms.extract import Extract, extract_task_of
from transforms.task import ShardTask, TaskRecord

Row = dict[str, Any]


def language_stage(
    folder: RunFolder, index: str, rows: Sequence[Row], specs: DiscoverySpecs, launcher: Launcher, report: Reporter,
    size: int,
) -> tuple[dict[str, str], list[Row], list[Row]]:
    """Describe the images and take the phrases out; return manifests with content hashes, captions and phrases.

    Raises:
        RecipeError: no image got a caption, or no caption a phrase; the message counts the reasons.
    """
    tasks = caption_tasks(folder.path, index, rows, specs.captioner, size)
    todo = [task for task in tasks if _extracted(task, specs) is None]
    total = sum(map(len, tasks))
    with report.watch("describing images, extracting phrases", total, lambda: _done(tasks, specs)):
        launcher.map(todo, Caption(specs.captioner), Extract(specs.extractor))
    manifests: dict[str, str] = {}
    captions: list[Row] = []
    phrases: list[Row] = []
    for task in tasks:
        for record, into in ((commit.find(task), captions), (_extracted(task, specs), phrases)):
            if record is None:
                raise RuntimeError(f"the runner finished, but task {task.name} is not committed in {folder.root}")
            manifests[record.manifest] = record.content_sha256
            into += manifest.read_rows(folder.root / record.manifest)[1]
    _check("image", "caption", captions)
    _check("caption", "phrase", phrases)
    return manifests, captions, phrases


def _extracted(task: ShardTask, specs: DiscoverySpecs) -> TaskRecord | None:
    captioned = commit.find(task)
    return commit.find(extract_task_of(captioned, specs.extractor)) if captioned else None


def _done(tasks: Sequence[ShardTask], specs: DiscoverySpecs) -> int:
    return sum(len(task) for task in tasks if _extracted(task, specs) is not None)


def _check(of: str, what: str, rows: Sequence[Row]) -> None:
    if rows and all(row["status"] == "reject" for row in rows):
        example = rows[0]
        raise RecipeError(
            f"no {of} gave a usable {what}: {len(rows)} rejects, the first for {example['reason']}: "
            f"{example['detail']}. Try another discovery.{'captioner' if what == 'caption' else 'extractor'}"
        )
