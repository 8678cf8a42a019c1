"""Generate and score tasks on tiny checkpoints: bad samples are rows, bad machines are errors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from catalogs import manifest
from pipeline import planning
from pipeline.models import generator_spec, scorer_spec
from pipeline.runfolder import RunFolder
from pipeline.synthesis import _commit_plan
from tests.pipeline.small import small_recipe
from transforms import commit
from transforms.generate import LazyGenerator, generate_task
from transforms.score import LazyScorer, score_task
from transforms.task import ShardTask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def plan_one(folder: Path, run: Path) -> tuple[ShardTask, LazyGenerator, LazyScorer]:
    recipe = small_recipe(folder, "quota.shard_size=4")
    spec = generator_spec(recipe)
    rows = planning.shard_rows(recipe, spec, (0, 1), 0, 0)
    name, _ = _commit_plan(recipe, 0, rows, RunFolder(run))
    (task,) = planning.tasks_of(str(run), name, rows, spec.stage_fingerprint)
    return task, LazyGenerator(spec), LazyScorer(scorer_spec(recipe))


def test_a_nan_picture_is_a_reject_row_and_the_others_stand(folder: Path, tmp_path: Path) -> None:
    clean_task, lazy, _ = plan_one(folder, tmp_path / "clean")
    clean = manifest.read_rows(tmp_path / "clean" / generate_task(clean_task, lazy).manifest)[1]
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
    record = generate_task(task, lazy)
    _, rows = manifest.read_rows(tmp_path / "run" / record.manifest)
    assert [row["status"] for row in rows] == ["ok", "reject", "ok", "ok"]
    assert rows[1]["reason"] == "nan_image" and rows[1]["shard"] is None
    assert [rows[n]["image_sha256"] for n in (0, 2, 3)] == [clean[n]["image_sha256"] for n in (0, 2, 3)]
    scores = manifest.read_rows(tmp_path / "run" / score_task(record, scorer).manifest)[1]
    assert {row["sample_id"] for row in scores} == {rows[n]["sample_id"] for n in (0, 2, 3)}


def test_out_of_memory_raises_and_commits_nothing(folder: Path, tmp_path: Path) -> None:
    task, lazy, _ = plan_one(folder, tmp_path)

    def exhausted(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    lazy.model.pipeline.unet.forward = exhausted
    with pytest.raises(torch.OutOfMemoryError):
        generate_task(task, lazy)
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
        generate_task(task, lazy)
    monkeypatch.setattr(os, "fsync", fsync)
    assert commit.find(task) is None
    assert generate_task(task, lazy).samples == 4


def test_a_finished_task_loads_no_model(folder: Path, tmp_path: Path) -> None:
    task, lazy, _ = plan_one(folder, tmp_path)
    record = generate_task(task, lazy)
    fresh = LazyGenerator(lazy.spec)
    assert generate_task(task, fresh) == record
    assert fresh._model is None
