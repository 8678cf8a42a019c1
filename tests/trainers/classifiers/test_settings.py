"""Settings: what is refused, and what is part of a training's identity."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from fairshards.trainers.classifiers.record import training_hash
from fairshards.trainers.classifiers.settings import StageSettings, TrainSettings, settings_from
from fairshards.trainers.core.errors import TrainerError

FFR = TrainSettings("ffr")
TRUE_GROUPS = {"dfr_groups": "true"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "frr"}, "method is 'frr' .did you mean 'ffr'.*known: erm, usb, asb, ffr, aspire-erm, aspire-dfr"),
        ({"method": "erm", "loss": "gdro"}, "loss is 'gdro'"),
        ({"method": "erm", "options": {"dfr_groups": "true"}}, "has no option 'dfr_groups'"),
        ({"method": "erm", "precision": "float16"}, "precision is 'float16'"),
        ({"method": "erm", "selection": "best"}, "selection is 'best'"),
        ({"method": "aspire-dfr", "options": {"dfr_groups": "guessed"}}, "dfr_groups is 'guessed'"),
        ({"method": "erm", "image_size": 0}, "image_size is 0"),
        ({"method": "erm", "weights": "somewhere", "pretrained": True}, "starts from one of them"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        TrainSettings(**values)


@pytest.mark.parametrize("values", [{"epochs": 0}, {"lr": 0.0}, {"batch_size": -1}, {"weight_decay": -0.1}])
def test_impossible_stages_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(TrainerError, match=f"{next(iter(values))} is"):
        StageSettings(**values)


def test_settings_come_back_from_their_dictionaries() -> None:
    assert settings_from(asdict(FFR)) == settings_from(FFR.written()) == FFR
    labelled = TrainSettings("aspire-dfr", options=TRUE_GROUPS)
    assert labelled.written()["dfr_groups"] == "true" and settings_from(labelled.written()).name == labelled.name
    assert settings_from(TrainSettings("erm", seed=3).identity()) == TrainSettings("erm", seed=3)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"loss": "resample"},
        {"method": "asb"},
        {"finetune": StageSettings(lr=1e-3)},
        {"pretrain": StageSettings(epochs=1)},
        {"image_size": 32},
        {"model": "timm:test_resnet"},
        {"precision": "bfloat16"},
    ],
)
def test_a_changed_setting_or_index_is_a_new_training(change: dict[str, Any]) -> None:
    ours = training_hash(FFR, ("real", "synthetic"))
    assert training_hash(replace(FFR, **change), ("real", "synthetic")) != ours
    assert training_hash(FFR, ("real", "curated again")) != ours
    assert training_hash(FFR, ("real", "synthetic")) == ours


def test_speed_settings_and_an_unused_stage_are_no_part_of_the_identity() -> None:
    assert training_hash(replace(FFR, workers=4, cache_bytes=0), ()) == training_hash(FFR, ())
    erm, other = TrainSettings("erm"), StageSettings(lr=1.0)
    assert training_hash(replace(erm, pretrain=other, finetune=other), ()) == training_hash(erm, ())
    assert training_hash(replace(FFR, main=other), ()) == training_hash(FFR, ())
    assert list(FFR.stages) == ["stage1", "stage2"] and list(erm.stages) == ["train"]


def test_the_settings_need_no_torch() -> None:
    """The command line holds them at start-up, where torch isn't imported."""
    import subprocess
    import sys

    code = (
        "import sys; from fairshards.trainers.classifiers.settings import TrainSettings; "
        "[TrainSettings(name) for name in ('ffr', 'aspire-dfr')]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("method", "inputs", "expected"),
    [
        ("erm", ("real",), "3ad35a0e58ed7e6dd15bd3e950de35372fd4cc4536819e3020b96bb44d1b116f"),
        ("ffr", ("real", "synthetic"), "2729fcb24920b076e5e6ca5656fd0d4be5128b93a3ef3efd174e3e47de7ecbb2"),
    ],
)
def test_trainings_of_before_aspire_are_still_the_same_trainings(
    method: str, inputs: tuple[str, ...], expected: str
) -> None:
    assert training_hash(TrainSettings(method), inputs) == expected
    assert training_hash(TrainSettings(method, selection="worst-group"), inputs) == expected


def test_what_chooses_the_epoch_and_the_groups_are_part_of_the_identity() -> None:
    erm, dfr = TrainSettings("aspire-erm"), TrainSettings("aspire-dfr")
    assert training_hash(replace(erm, selection="worst-class"), ()) == training_hash(erm, ())
    assert training_hash(replace(erm, selection="synthetic-validation"), ()) != training_hash(erm, ())
    assert training_hash(replace(FFR, selection="worst-class"), ()) != training_hash(FFR, ())
    assert training_hash(replace(dfr, options=TRUE_GROUPS), ()) != training_hash(dfr, ())
    assert settings_from(replace(dfr, options=TRUE_GROUPS).identity()) == replace(dfr, options=TRUE_GROUPS)


def test_aspire_refuses_what_needs_a_bias_label() -> None:
    for method in ("aspire-erm", "aspire-dfr"):
        with pytest.raises(TrainerError, match=f"{method} uses no bias label, but selection is 'worst-group'"):
            TrainSettings(method, selection="worst-group")
        with pytest.raises(TrainerError, match=f"{method} with loss 'resample' would draw by bias label"):
            TrainSettings(method, "resample")
    assert TrainSettings("aspire-dfr", selection="worst-group", options=TRUE_GROUPS).selects_by == "worst-group"


def test_a_row_is_called_what_it_is() -> None:
    names = [TrainSettings(method).name for method in ("erm", "ffr", "aspire-erm", "aspire-dfr")]
    assert names == ["ERM", "FFR", "ASPIRE+ERM", "ASPIRE+DFR"]
    assert TrainSettings("aspire-dfr", options=TRUE_GROUPS).name == "ASPIRE+DFR (true groups)"
