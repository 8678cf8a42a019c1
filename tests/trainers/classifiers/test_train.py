"""The loop: which epoch is kept, what decides the weights, and going on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fairshards.trainers.classifiers import train
from fairshards.trainers.classifiers.run import run_training
from fairshards.trainers.classifiers.settings import StageSettings, TrainSettings
from fairshards.trainers.classifiers.train import select
from fairshards.trainers.core.checkpoint import EpochMetrics
from fairshards.trainers.core.errors import TrainerError
from tests.trainers.shapes import quick

REPOSITORY = Path(__file__).parents[3]


def history(*figures: tuple[float, float]) -> list[EpochMetrics]:
    """Epochs 0, 1, ... with (worst group, balanced) figures."""
    return [EpochMetrics(epoch, None, *pair, 0.0, {}) for epoch, pair in enumerate(figures)]


def test_epoch_zero_is_never_selected() -> None:
    assert select(history((0.9, 0.95), (0.2, 0.5), (0.3, 0.5))).epoch == 2


def test_ties_go_to_balanced_accuracy_and_then_to_the_earliest_epoch() -> None:
    assert select(history((0, 0), (0.5, 0.7), (0.5, 0.8), (0.4, 0.9))).epoch == 2
    assert select(history((0, 0), (0.5, 0.8), (0.5, 0.8))).epoch == 1


def weights(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


@pytest.mark.parametrize("method", ["ffr", "asb"])
def test_the_same_settings_give_the_same_bytes(
    method: str, tmp_path: Path, real_index: Path, synthetic_index: Path
) -> None:
    settings = quick(method, "resample")
    torch.manual_seed(1)
    one = run_training(tmp_path / "one", settings, real_index, synthetic_index)
    torch.manual_seed(2)
    two = run_training(tmp_path / "two", replace(settings, cache_bytes=0), real_index, synthetic_index)
    assert one.training_id == two.training_id
    assert weights(one.folder) == weights(two.folder)
    assert {**one.head.settings, "shards": 0} == {**two.head.settings, "shards": 0}
    other = run_training(tmp_path / "one", replace(settings, seed=1), real_index, synthetic_index)
    assert weights(other.folder) != weights(one.folder)


def test_training_leaves_torch_as_it_found_it(tmp_path: Path, real_index: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    run_training(tmp_path, quick("erm", epochs=1), real_index)
    assert torch.equal(torch.rand(1), expected)
    assert not torch.are_deterministic_algorithms_enabled()


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_at(stage: str, epoch: int) -> object:
    def progress(name: str, at: int, epochs: int, metrics: Mapping[str, float]) -> None:
        if (name, at) == (stage, epoch):
            raise Killed

    return progress


@pytest.mark.parametrize(("stage", "epoch"), [("stage1", 1), ("stage1", 3), ("stage2", 2)])
def test_a_killed_training_ends_with_the_weights_of_an_uninterrupted_one(
    stage: str, epoch: int, tmp_path: Path, real_index: Path, synthetic_index: Path
) -> None:
    settings = quick("ffr", "resample", epochs=3)
    whole = run_training(tmp_path / "whole", settings, real_index, synthetic_index)
    cut = tmp_path / "cut"
    with pytest.raises(Killed):
        run_training(cut, settings, real_index, synthetic_index, killed_at(stage, epoch))  # type: ignore[arg-type]
    assert not list(cut.rglob("metrics.parquet")) and list(cut.rglob("*.checkpoint.safetensors"))
    done: list[tuple[str, int]] = []
    resumed = run_training(
        cut, settings, real_index, synthetic_index, lambda name, at, epochs, metrics: done.append((name, at))
    )
    assert done == [(s, e) for s in ("stage1", "stage2") for e in (1, 2, 3) if (s, e) > (stage, epoch)]
    assert weights(resumed.folder) == weights(whole.folder)
    assert {**resumed.head.settings, "shards": 0} == {**whole.head.settings, "shards": 0}


KILLED_RUN = """
import os, signal, sys, torch
from pathlib import Path
from tests.trainers.shapes import quick
from fairshards.trainers.classifiers.run import run_training
torch.set_num_threads(1)
def progress(stage, epoch, epochs, metrics):
    if epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
run_training(Path(sys.argv[1]), quick("erm", epochs=3), Path(sys.argv[2]), progress=progress)
"""


def test_sigkill_and_the_same_call_again(tmp_path: Path, real_index: Path) -> None:
    whole = run_training(tmp_path / "whole", quick("erm", epochs=3), real_index)
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path / "cut"), str(real_index)]
    killed = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    resumed = run_training(tmp_path / "cut", quick("erm", epochs=3), real_index)
    assert resumed.trained and weights(resumed.folder) == weights(whole.folder)


def test_a_broken_checkpoint_starts_the_stage_again(tmp_path: Path, real_index: Path) -> None:
    settings = quick("erm", epochs=2)
    with pytest.raises(Killed):
        run_training(tmp_path / "cut", settings, real_index, progress=killed_at("train", 1))  # type: ignore[arg-type]
    (checkpoint,) = tmp_path.rglob("*.checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    resumed = run_training(tmp_path / "cut", settings, real_index)
    assert weights(resumed.folder) == weights(run_training(tmp_path / "whole", settings, real_index).folder)


def test_a_learning_rate_that_breaks_the_weights_is_named(tmp_path: Path, real_index: Path) -> None:
    settings = replace(quick("erm"), main=StageSettings(epochs=3, lr=1e30))
    for _ in range(2):
        with pytest.raises(TrainerError, match=r"train, epoch 1: the loss is (nan|inf), .*lower its .* 1e\+30"):
            run_training(tmp_path, settings, real_index)
    assert not list(tmp_path.rglob("metrics.parquet"))


def test_a_loss_that_is_not_finite_stops_the_stage_at_its_epoch(
    tmp_path: Path, real_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    train_epoch = train.train_epoch
    monkeypatch.setattr(train, "train_epoch", lambda *given: float("inf") if done else train_epoch(*given))
    with pytest.raises(TrainerError, match="stage train, epoch 2: the loss is inf"):
        run_training(tmp_path, quick("erm", epochs=3), real_index, progress=lambda name, at, *rest: done.append(at))
    monkeypatch.undo()
    run_training(tmp_path, quick("erm", epochs=3), real_index, progress=lambda name, at, *rest: done.append(at))
    assert done == [1, 2, 3]


def test_freeze_bn_keeps_the_batch_statistics(tmp_path: Path, real_index: Path) -> None:
    frozen = StageSettings(epochs=1, batch_size=32, freeze_bn=True)
    result = run_training(tmp_path, replace(quick("erm"), main=frozen), real_index)
    from fairshards.trainers.classifiers.run import load_model

    state = load_model(result.folder).state_dict()
    assert state["network.1.running_mean"].abs().sum() == 0
    assert state["network.1.num_batches_tracked"] == 0


def test_bfloat16_autocast_trains(tmp_path: Path, real_index: Path) -> None:
    result = run_training(tmp_path, quick("erm", epochs=1, precision="bfloat16"), real_index)
    assert result.head.settings["precision"] == "bfloat16"


def test_a_timm_backbone_trains_and_resumes(tmp_path: Path, real_index: Path) -> None:
    settings = TrainSettings(
        "erm", model="timm:test_resnet", image_size=32, main=StageSettings(epochs=2, batch_size=64)
    )
    with pytest.raises(Killed):
        run_training(tmp_path / "cut", settings, real_index, progress=killed_at("train", 1))  # type: ignore[arg-type]
    resumed = run_training(tmp_path / "cut", settings, real_index)
    assert weights(resumed.folder) == weights(run_training(tmp_path / "whole", settings, real_index).folder)
