"""The handler of the model stages: what travels to a worker, what is loaded there and when."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch

from fairshards.transforms import stage as model_stage
from fairshards.transforms.edits import edit, edit_test
from fairshards.transforms.language import caption, extract
from fairshards.transforms.pictures import generate, score
from fairshards.transforms.pictures.specs import GeneratorSpec
from fairshards.transforms.shards import commit
from fairshards.transforms.shards.task import ShardTask, TaskRecord
from fairshards.transforms.stage import LazyModels, StageHandler, use_threads

SPEC = GeneratorSpec("/model", "f" * 64, "cuda", "float32", None, 8, 5, min_ram="8GB", threads=3)
STAGES = [
    (caption.LazyCaptioner, caption.caption_task),
    (extract.LazyExtractor, extract.extract_task),
    (generate.LazyGenerator, generate.generate_task),
    (score.LazyScorer, score.score_task),
    (edit.LazyEditor, edit.edit_task),
    (edit_test.LazyTester, edit_test.edit_test_task),
]


class LazyThreads(LazyModels[GeneratorSpec]):
    @cached_property
    def model(self) -> int:
        use_threads(self.spec.threads)
        return torch.get_num_threads()


def commit_threads(task: ShardTask, lazy: LazyThreads) -> TaskRecord:
    return commit.find(task) or commit.commit(task, [], fingerprint=f"{lazy.model} threads", attempt={})


def task(run: Path, name: str) -> ShardTask:
    return ShardTask("generate", name, name * 64, str(run), "raw", "plan/plan.parquet", 0, 2)


@pytest.mark.parametrize(("models", "work"), STAGES)
def test_a_handler_travels_without_a_model(models: Callable[..., Any], work: Callable[..., Any]) -> None:
    there = pickle.loads(pickle.dumps(StageHandler(SPEC, models, work)))
    assert (there.spec, there.models, there.work) == (SPEC, models, work)
    hints = there.get_resource_hints()
    assert hints["min_ram"] == "8GB" and "nvidia" in hints["accelerator"]


def test_a_model_is_loaded_once_with_the_specs_threads_and_not_for_what_is_done(tmp_path: Path) -> None:
    handler, before = StageHandler(SPEC, LazyThreads, commit_threads), torch.get_num_threads()
    try:
        first, again = handler.load_model(), handler.load_model()
        made = [handler.run_inference(task(tmp_path, name), first) for name in "ab"]
        assert vars(first)["model"] == 3
    finally:
        torch.set_num_threads(before)
    assert [handler.run_inference(task(tmp_path, name), again) for name in "ab"] == made
    assert "model" not in vars(again)


def test_a_worker_checks_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[bool] = []
    monkeypatch.setattr(model_stage, "check_installation", lambda: checks.append(True))
    StageHandler(SPEC, LazyThreads, commit_threads).load_model()
    assert checks == [True]
