"""Generate and score tasks on tiny checkpoints: bad samples are rows, bad machines are errors."""

from __future__ import annotations

import errno
import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.synthesis import plan as planning
from fairshards.pipeline.synthesis.pool import commit_plan
from fairshards.transforms.pictures.generate import Generate, LazyGenerator
from fairshards.transforms.pictures.score import LazyScorer, Score
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from tests.pipeline.small import small_recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def plan_shards(folder: Path, run: Path, shards: int) -> tuple[list[ShardTask], LazyGenerator, LazyScorer]:
    recipe = small_recipe(folder, "quota.shard_size=4")
    spec = generator_spec(recipe)
    rows = [row for shard in range(shards) for row in planning.shard_rows(recipe, spec, (0, 1), shard, 0)]
    name, _ = commit_plan(recipe.quota.shard_size, "round-0", rows, RunFolder(run))
    tasks = planning.tasks_of(str(run), name, rows, spec.stage_fingerprint)
    return tasks, LazyGenerator(spec), LazyScorer(scorer_spec(recipe))


def plan_one(folder: Path, run: Path) -> tuple[ShardTask, LazyGenerator, LazyScorer]:
    (task,), lazy, scorer = plan_shards(folder, run, 1)
    return task, lazy, scorer


def test_a_nan_picture_is_a_reject_row_and_the_others_stand(folder: Path, tmp_path: Path) -> None:
    clean_task, lazy, _ = plan_one(folder, tmp_path / "clean")
    clean = manifest.read_rows(tmp_path / "clean" / Generate.do(clean_task, lazy).manifest)[1]
    task, lazy, scorer = plan_one(folder, tmp_path / "run")
    decode = lazy.model.pipeline.vae.decode
    calls = []

    def poisoned(latents: torch.Tensor, *args: object, **kwargs: object) -> object:
        calls.append(len(latents))
        out = decode(latents, *args, **kwargs)
        if len(calls) == 1:
            out[0][1] = float("nan")
        return out

    lazy.model.pipeline.vae.decode = poisoned
    record = Generate.do(task, lazy)
    _, rows = manifest.read_rows(tmp_path / "run" / record.manifest)
    assert [row["status"] for row in rows] == ["ok", "reject", "ok", "ok"]
    assert rows[1]["reason"] == "nan_image" and rows[1]["shard"] is None
    assert [rows[n]["image_sha256"] for n in (0, 2, 3)] == [clean[n]["image_sha256"] for n in (0, 2, 3)]
    scores = manifest.read_rows(tmp_path / "run" / Score.do(record, scorer).manifest)[1]
    assert {row["sample_id"] for row in scores} == {rows[n]["sample_id"] for n in (0, 2, 3)}


def test_out_of_memory_raises_and_commits_nothing(folder: Path, tmp_path: Path) -> None:
    task, lazy, _ = plan_one(folder, tmp_path)

    def exhausted(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    lazy.model.pipeline.unet.forward = exhausted
    with pytest.raises(torch.OutOfMemoryError):
        Generate.do(task, lazy)
    assert commit.find(task) is None and not list(tmp_path.glob("raw/*"))


def test_a_full_disk_raises_and_the_next_attempt_succeeds(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, lazy, _ = plan_one(folder, tmp_path)
    fsync = os.fsync

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Generate.do(task, lazy)
    monkeypatch.setattr(os, "fsync", fsync)
    assert commit.find(task) is None
    assert Generate.do(task, lazy).samples == 4


def test_a_finished_task_loads_no_model(folder: Path, tmp_path: Path) -> None:
    task, lazy, _ = plan_one(folder, tmp_path)
    record = Generate.do(task, lazy)
    fresh = LazyGenerator(lazy.spec)
    assert Generate.do(task, fresh) == record
    assert "model" not in vars(fresh)


def one_at_a_time(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``call`` so that it fails when it is called again before it is done."""
    busy = threading.Lock()

    @functools.wraps(call)
    def checked(*args: object, **kwargs: object) -> object:
        assert busy.acquire(blocking=False), "two tasks at once"
        try:
            time.sleep(0.01)
            return call(*args, **kwargs)
        finally:
            busy.release()

    return checked


def test_threads_of_a_worker_take_turns(folder: Path, tmp_path: Path) -> None:
    """A process's threads share the holders; two tasks at once would step one scheduler."""
    tasks, lazy, scorer = plan_shards(folder, tmp_path / "one", 2)
    alone = [(record := Generate.do(task, lazy), Score.do(record, scorer)) for task in tasks]
    tasks, lazy, scorer = plan_shards(folder, tmp_path / "two", 2)
    lazy.model.pipeline.unet.forward = one_at_a_time(lazy.model.pipeline.unet.forward)
    scorer.scorer.clip.embed_images = one_at_a_time(scorer.scorer.clip.embed_images)  # type: ignore[method-assign]
    start = threading.Barrier(2)

    def make(task: ShardTask) -> tuple[TaskRecord, TaskRecord]:
        start.wait()
        record = Generate.do(task, lazy)
        return record, Score.do(record, scorer)

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(make, tasks))
    assert "step" not in vars(lazy.model.pipeline.scheduler)
    assert [[one.content_sha256 for one in pair] for pair in made] == [
        [one.content_sha256 for one in pair] for pair in alone
    ]
