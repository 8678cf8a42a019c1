"""The goals of the checkpoints that discovery uses: measured where a checkpoint is there, left out where it isn't."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from fairshards.pocket import CHECKPOINTS
from fairshards.pocket.networks.captioner import captioner_tokenizer, new_captioner, save_captioner
from fairshards.pocket.networks.extractor import new_extractor, new_extractor_tokenizer, save_extractor
from fairshards.pocket.networks.segmenter import new_segmenter, save_segmenter
from fairshards.pocket.networks.tokenizer import new_tokenizer
from fairshards.pocket.training import evaluate


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("fairshards.pocket.scenes.pictures.CHUNK", 8)
    monkeypatch.setattr(evaluate, "checkpoint_path", lambda name: tmp_path / name)
    return tmp_path


def test_every_measured_checkpoint_is_a_checkpoint() -> None:
    assert {*evaluate.DISCOVERY} < {*CHECKPOINTS}


def test_without_checkpoints_there_is_nothing_to_measure(checkpoints: Path) -> None:
    assert evaluate.discovery_goals(checkpoints, 2) == []


def test_untrained_checkpoints_are_measured_and_miss_their_goals(checkpoints: Path) -> None:
    torch.manual_seed(0)
    tokenizer: PreTrainedTokenizerFast = new_extractor_tokenizer()
    save_captioner(new_captioner(captioner_tokenizer()), checkpoints / "pocket-captioner")
    save_segmenter(new_segmenter(new_tokenizer()), checkpoints / "pocket-segmenter")
    save_extractor(new_extractor(tokenizer), checkpoints / "pocket-extractor")
    goals = evaluate.discovery_goals(checkpoints, 8)
    assert len(goals) == 10 and len({goal.name for goal in goals}) == 10
    wanted = ("class, background and colour", '"bird"', "IoU of the background", "wordings never seen")
    measured = [goal for goal in goals if any(each in goal.name for each in wanted)]
    assert [goal.goal for goal in measured] == [">= 0.95", ">= 0.85", ">= 0.9", ">= 0.98"]
    assert not any(goal.met for goal in measured)
