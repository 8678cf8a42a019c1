"""A training method and a loss of somebody else: named by a recipe, trained, resumed, and shown under their titles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairshards.pipeline.recipe.training import Training, setting_problems, train_settings
from fairshards.pipeline.report.accuracy import _label, settings_key
from fairshards.trainers.classifiers.record import training_hash
from fairshards.trainers.classifiers.run import run_training
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.errors import TrainerError
from tests.trainers.methods.group_dro import WorstGroups
from tests.trainers.shapes import quick

METHOD, LOSS = "tests.trainers.methods.group_dro.GroupDro", "tests.trainers.methods.group_dro.GroupDroLoss"


def test_a_method_by_dotted_path_trains_and_stands_under_its_title(tmp_path: Path, real_index: Path) -> None:
    settings = quick(METHOD, epochs=3, options={"step_size": 0.5})
    result = run_training(tmp_path / "own", settings, real_index)
    head = result.head.settings
    assert (result.method, result.name, head["name"], head["loss"]) == ("group-dro", "GroupDRO", "GroupDRO", "erm")
    assert head["settings"]["step_size"] == 0.5 and head["settings"]["group-dro.class"] == METHOD
    key = (head["method"], head["loss"], settings_key(head["settings"]), "final")
    assert _label(head["name"], key) == ("GroupDRO", "real images, the worst groups weighted up")
    plain = run_training(tmp_path / "erm", quick("erm", epochs=3), real_index)
    ours, theirs = (load_file(one.folder / "model.safetensors") for one in (result, plain))
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_killed_training_goes_on_with_the_losss_own_state(tmp_path: Path, real_index: Path) -> None:
    settings = quick("erm", LOSS, epochs=3, options={"step_size": 0.5})

    def kill(stage: str, epoch: int, *rest: object) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    whole = run_training(tmp_path / "whole", settings, real_index)
    with pytest.raises(KeyboardInterrupt):
        run_training(tmp_path / "cut", settings, real_index, progress=kill)
    resumed = run_training(tmp_path / "cut", settings, real_index)
    one, other = (load_file(result.folder / "model.safetensors") for result in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_worst_group_gets_the_weight() -> None:
    criterion = WorstGroups(2, 1.0)
    logits, y = torch.tensor([[4.0, 0.0], [4.0, 0.0]]), torch.tensor([0, 1])
    criterion(logits, y, torch.tensor([0, 1]))
    assert criterion.q[1] > 0.9 and float(criterion.q.sum()) == pytest.approx(1)


def test_a_recipe_names_them_and_gives_their_options() -> None:
    by_method = {METHOD: {"step_size": 0.4}}
    training = Training(methods=("erm", METHOD), losses=("erm", LOSS), settings={"step_size": 0.2}, by_method=by_method)
    assert setting_problems(training) == []
    options = [(one.name, one.training_loss.title, dict(one.options)) for one in train_settings(training)]
    assert options == [
        ("ERM", "", {}),
        ("GroupDRO", "", {"step_size": 0.4}),
        ("ERM", "GroupDRO", {"step_size": 0.2}),
        ("GroupDRO", "GroupDRO", {"step_size": 0.4}),
    ]
    wrong = Training(methods=(METHOD,), by_method={METHOD: {"step_size": "big"}})
    assert "step_size: 'big' is text" in setting_problems(wrong)[0]
    unknown = Training(methods=(METHOD,), by_method={METHOD: {"step_sise": 1.0}})
    assert "unknown key 'step_sise' (did you mean 'step_size'?)" in setting_problems(unknown)[0]


def test_options_are_part_of_the_identity_and_of_nothing_else() -> None:
    settings = TrainSettings(METHOD)
    assert training_hash(replace(settings, options={"step_size": 0.2}), ()) != training_hash(settings, ())
    assert training_hash(replace(settings, options={"step_size": 0.01}), ()) == training_hash(settings, ())


def test_what_is_no_method_is_refused() -> None:
    with pytest.raises(TrainerError, match="is no class derived from"):
        TrainSettings("tests.trainers.methods.group_dro.WorstGroups")
    with pytest.raises(TrainerError, match="there is no module 'my_package'"):
        TrainSettings("my_package.training.GroupDro")
    with pytest.raises(ValueError, match="is a row to compare with"):
        Training(methods=("balanced-real",))


def test_the_schema_has_the_names_and_the_options() -> None:
    schema = Training.model_json_schema()["properties"]
    assert schema["methods"]["items"]["anyOf"][0]["enum"] == ["erm", "usb", "asb", "ffr", "aspire-erm", "aspire-dfr"]
    assert schema["settings"]["properties"]["dfr_synthetic"]["enum"] == ["all", "grouped"]
    assert schema["by_method"]["properties"].keys() == {"aspire-dfr"}
