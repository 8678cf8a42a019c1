"""The handler of the model stages: what travels to a worker, what is loaded there and when."""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.identity import task_hash
from fairshards.transforms.edits import edit, edit_test
from fairshards.transforms.language import caption, extract
from fairshards.transforms.pictures import generate, score, score_real
from fairshards.transforms.pictures.specs import GeneratorSpec
from fairshards.transforms.records import sample
from fairshards.transforms.records import score as score_rows
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask, finish
from fairshards.transforms.shards.task import ShardTask
from fairshards.transforms.stage import LazyModels, ModelStage, StageHandler, use_threads

SPEC = GeneratorSpec("/model", "f" * 64, "cuda", "float32", None, 8, 5, min_ram="8GB", threads=3)
STAGES = [
    caption.Caption,
    extract.Extract,
    generate.Generate,
    score.Score,
    score_real.ScoreReal,
    edit.Edit,
    edit_test.EditTest,
    sample.SampleRows,
    score_rows.ScoreRows,
]


class LazyThreads(LazyModels[GeneratorSpec]):
    @cached_property
    def model(self) -> int:
        use_threads(self.spec.threads)
        return torch.get_num_threads()


class CountThreads(ModelStage[GeneratorSpec]):
    stage, folder, models = "generate", "raw", LazyThreads
    title = "Count"

    @staticmethod
    def work(todo: OpenTask, models: LazyThreads) -> Made:
        assert models.lock.locked()
        return Made([], settings={"threads": models.model}, attempt={"samples": len(todo.task)})


def task(run: Path, name: str) -> ShardTask:
    return ShardTask("generate", name, name * 64, str(run), "raw", "plan/plan.parquet", 0, 2)


@pytest.mark.parametrize("stage", STAGES)
def test_a_handler_travels_without_a_model(stage: type[ModelStage[Any]]) -> None:
    there = pickle.loads(pickle.dumps(StageHandler(stage, SPEC)))
    assert (there.spec, there.stage) == (SPEC, stage)
    hints = there.get_resource_hints()
    assert hints["min_ram"] == "8GB" and "nvidia" in hints["accelerator"]


def test_a_model_is_loaded_once_with_the_specs_threads_and_not_for_what_is_done(tmp_path: Path) -> None:
    handler, before = StageHandler(CountThreads, SPEC), torch.get_num_threads()
    try:
        first, again = handler.load_model(), handler.load_model()
        made = [handler.run_inference(task(tmp_path, name), first) for name in "ab"]
        assert vars(first)["model"] == 3
    finally:
        torch.set_num_threads(before)
    assert [handler.run_inference(task(tmp_path, name), again) for name in "ab"] == made
    assert "model" not in vars(again)


def test_what_is_committed_is_the_works_with_the_stages_fingerprint(tmp_path: Path) -> None:
    before, threads = task(tmp_path, "a"), torch.get_num_threads()
    try:
        record = CountThreads.do(before, LazyThreads(SPEC))
    finally:
        torch.set_num_threads(threads)
    head = manifest.read_head(tmp_path / record.manifest)
    assert (head.fingerprint, head.settings, head.inputs) == (SPEC.stage_fingerprint, {"threads": 3}, ())
    attempt = manifest.read_attempt(tmp_path / record.manifest)
    assert attempt["samples"] == 2 and attempt["seconds"] >= 0


def test_a_stage_goes_on_with_the_record_of_the_stage_before(tmp_path: Path) -> None:
    class Next(CountThreads):
        stage, folder = "score", "scores"

        @staticmethod
        def work(todo: OpenTask, models: LazyThreads) -> Made:
            (row,) = todo.rows_before
            return Made([{"sample_id": row["sample_id"], "score": "length", "value": float(len(todo.shard_before))}])

    first = OpenTask(task(tmp_path, "a"))
    shard = first.publish(b"picture", 1)
    made = finish(first, "f", lambda _: Made([{"sample_id": "s", "status": "ok"}], shard))
    record = Next.do(made, LazyThreads(SPEC))
    head, rows = manifest.read_rows(tmp_path / record.manifest)
    assert (head.stage, head.inputs, rows[0]["value"]) == ("score", (made.content_sha256,), 7.0)
    hashed = task_hash("score", SPEC.stage_fingerprint, [made.task.task_hash], [made.content_sha256])
    assert head.task_hash == hashed and record.manifest == f"scores/a-{hashed[:12]}.parquet"


def test_work_that_raises_commits_nothing_and_frees_the_lock(tmp_path: Path) -> None:
    class Broken(CountThreads):
        @staticmethod
        def work(todo: OpenTask, models: LazyThreads) -> Made:
            raise MemoryError

    lazy = LazyThreads(SPEC)
    with pytest.raises(MemoryError):
        Broken.do(task(tmp_path, "a"), lazy)
    assert commit.find(task(tmp_path, "a")) is None and not lazy.lock.locked()
