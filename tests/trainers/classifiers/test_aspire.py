"""ASPIRE's two rows as whole trainings: what they mix, that no bias label reaches them, and going on after a kill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fairshards.catalogs.manifests.identity import digest
from fairshards.trainers.classifiers.record import TrainingResult
from fairshards.trainers.classifiers.run import load_model, run_training
from fairshards.trainers.classifiers.settings import StageSettings, TrainSettings
from fairshards.trainers.core.errors import MixError, TrainerError
from fairshards.trainers.core.index import read_index
from fairshards.trainers.core.loaders import load_pictures
from fairshards.trainers.core.place import Place
from fairshards.trainers.evaluation.evaluate import group_accuracies, predict
from tests.trainers.aspire_world import Row, rewrite, spurious_free_index, unknown, without_columns, write_groups
from tests.trainers.shapes import quick, shape_pictures, write_index

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spurious_free_index(tmp_path_factory.mktemp("spurious-free"))


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory, real_index: Path) -> Path:
    return write_groups(tmp_path_factory.mktemp("groups") / "groups.parquet", real_index)


@pytest.fixture(scope="module")
def dfr(tmp_path_factory: pytest.TempPathFactory, real_index: Path, curated: Path, groups: Path) -> TrainingResult:
    return run_training(tmp_path_factory.mktemp("dfr"), quick("aspire-dfr"), real_index, curated, groups=groups)


def used(result: TrainingResult) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in result.head.settings["shards"]:
        found[row["use"]] = found.get(row["use"], 0) + row["samples"]
    return found


def weights_digest(result: TrainingResult, file: str = "model.safetensors") -> str:
    """The SHA of every weight's bytes. The file's own also covers the training's id, which names its indexes."""
    tensors = sorted(load_file(result.folder / file).items())
    return digest([[name, tensor.numpy().tobytes().hex()] for name, tensor in tensors])


def blinded(real: Path, splits: tuple[str, ...], change: Callable[[Row], Row] = unknown) -> Path:
    name = f"{change.__name__}-{'-'.join(splits)}.parquet"
    return rewrite(real, name, lambda row: change(row) if row["split"] in splits else row)


def test_aspire_erm_trains_on_all_real_and_spurious_free_samples(
    tmp_path: Path, real_index: Path, curated: Path
) -> None:
    result = run_training(tmp_path, quick("aspire-erm"), real_index, curated)
    assert used(result) == {"train": 128 + 40, "val": 80, "test": 80}
    said = result.head.settings
    assert (said["method"], said["name"], result.name) == ("aspire-erm", "ASPIRE+ERM", "ASPIRE+ERM")
    stage = said["stages"]["train"]
    assert (stage["synthetic"], stage["draws"]) == (40, "uniform")
    assert stage["samples"]["square|unknown"] == stage["samples"]["cross|unknown"] == 20
    assert said["selection"].startswith("worst-class accuracy on real validation")
    assert set(stage["history"][0]["groups"]) == {"square|unknown", "cross|unknown"}
    assert result.test["worst_group_name"].split("|")[1] in ("red", "green")


@pytest.mark.parametrize("change", [unknown, without_columns])
def test_aspire_erm_without_the_bias_column_has_the_same_weights(
    change: Callable[[Row], Row], tmp_path: Path, real_index: Path, curated: Path
) -> None:
    with_labels = run_training(tmp_path, quick("aspire-erm", epochs=3), real_index, curated)
    blind = blinded(real_index, ("train", "val"), change)
    without = run_training(tmp_path, quick("aspire-erm", epochs=3), blind, curated)
    assert without.training_id != with_labels.training_id
    assert weights_digest(without) == weights_digest(with_labels)
    assert without.test == {**with_labels.test, "adjusted_average": None}


def test_erms_weights_do_change_when_it_loses_the_bias_it_selects_by(tmp_path: Path, real_index: Path) -> None:
    """So that the test above could fail: the figures that choose an ERM's epoch are the labelled groups'."""
    labelled = run_training(tmp_path, quick("erm"), real_index).head.settings["stages"]["train"]
    blind = run_training(tmp_path, quick("erm"), blinded(real_index, ("train", "val")))
    unlabelled = blind.head.settings["stages"]["train"]
    assert labelled["history"][1]["worst_group"] != unlabelled["history"][1]["worst_group"]


def test_a_test_split_without_bias_labels_is_measured_by_class(tmp_path: Path, real_index: Path, curated: Path) -> None:
    blind = blinded(real_index, ("train", "val", "test"))
    result = run_training(tmp_path, quick("aspire-erm", epochs=1), blind, curated)
    assert result.test["worst_group_name"] in ("square|unknown", "cross|unknown")
    assert (result.test["worst_n"], result.test["smallest_n"]) == (40, 40)


def test_a_generated_validation_set_chooses_and_is_never_trained_on(
    tmp_path: Path, real_index: Path, curated: Path
) -> None:
    settings = quick("aspire-erm", selection="synthetic-validation")
    result = run_training(tmp_path, settings, real_index, curated)
    assert used(result) == {"train": 168, "val": 80, "test": 80, "synthetic validation": 12}
    assert "generated balanced validation set" in result.head.settings["selection"]
    validation = read_index(curated, g=1).of("validation")
    predicted = predict(load_model(result.folder), load_pictures(validation, 16, 1 << 30), Place(CPU))
    stage = result.head.settings["stages"]["train"]
    chosen = stage["history"][stage["selected_epoch"]]["groups"]
    assert {one.group_name: one.accuracy for one in group_accuracies(predicted, validation)} == chosen


def test_dfr_refits_the_last_layer_of_aspires_plain_erm(tmp_path: Path, dfr: TrainingResult, real_index: Path) -> None:
    plain = run_training(tmp_path, quick("erm", selection="worst-class"), real_index)
    ours, theirs = (load_file(result.folder / "model.safetensors") for result in (dfr, plain))
    changed = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    assert changed == {name for name in ours if name.startswith("network.14.")} and len(changed) == 2


def test_dfr_says_what_it_balanced_and_chose(dfr: TrainingResult) -> None:
    assert dfr.name == dfr.head.settings["name"] == "ASPIRE+DFR" and len(dfr.head.inputs) == 3
    assert used(dfr) == {"train": 128, "last layer": 40, "val": 80, "test": 80}
    said = dfr.head.settings["last_layer"]
    assert said["groups"] == {
        "square|red light": 60,
        "square|no red light": 4,
        "cross|no green light": 4,
        "cross|green light": 60,
    }
    assert (said["per_group"], said["synthetic"], said["refits"], said["without_group"]) == (4, 40, 10, 0)
    assert said["choice"]["c"] in (1.0, 0.7, 0.3, 0.1, 0.07, 0.03, 0.01)
    assert 0 <= said["val_worst_group"] <= said["val_balanced"] <= 1


def test_dfr_can_put_spurious_free_samples_with_the_real_ones_that_lack_the_phrase(
    tmp_path: Path, dfr: TrainingResult, real_index: Path, curated: Path, groups: Path
) -> None:
    result = run_training(
        tmp_path, quick("aspire-dfr", options={"dfr_synthetic": "grouped"}), real_index, curated, groups=groups
    )
    said = result.head.settings["last_layer"]
    assert said["synthetic_groups"] == {"cross|no green light": 20, "square|no red light": 20}
    assert said["groups"] == dfr.head.settings["last_layer"]["groups"] and said["per_group"] == 24
    assert result.training_id != dfr.training_id and weights_digest(result) != weights_digest(dfr)
    with pytest.raises(TrainerError, match="no true group is known; use 'all'"):
        quick("aspire-dfr", options={"dfr_synthetic": "grouped", "dfr_groups": "true"})


def test_the_committed_model_has_the_refitted_layers_accuracy(dfr: TrainingResult, real_index: Path) -> None:
    test = read_index(real_index, g=0).of("test")
    predicted = predict(load_model(dfr.folder), load_pictures(test, 16, 1 << 30), Place(CPU))
    assert min(one.accuracy for one in group_accuracies(predicted, test)) == dfr.test["worst_group"]


def test_dfr_over_discovered_groups_reads_no_bias_label(
    tmp_path: Path, dfr: TrainingResult, real_index: Path, curated: Path, groups: Path
) -> None:
    blind = blinded(real_index, ("train", "val"))
    without = run_training(tmp_path, quick("aspire-dfr"), blind, curated, groups=groups)
    assert weights_digest(without) == weights_digest(dfr)


def test_dfr_over_true_groups_says_so_and_needs_labels(tmp_path: Path, real_index: Path, curated: Path) -> None:
    settings = quick("aspire-dfr", epochs=1, options={"dfr_groups": "true"})
    result = run_training(tmp_path, settings, real_index, curated)
    assert result.name == result.head.settings["name"] == "ASPIRE+DFR (true groups)" and len(result.head.inputs) == 2
    assert set(result.head.settings["last_layer"]["groups"]) == {
        "square|red",
        "square|green",
        "cross|red",
        "cross|green",
    }
    with pytest.raises(TrainerError, match="have no bias label; use 'discovered'"):
        run_training(tmp_path, settings, blinded(real_index, ("train", "val")), curated)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_killed_dfr_ends_with_the_same_bytes(
    epoch: int, tmp_path: Path, dfr: TrainingResult, real_index: Path, curated: Path, groups: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(stage: str, at: int, epochs: int, metrics: Mapping[str, float]) -> None:
        if at == epoch:
            raise Killed

    with pytest.raises(Killed):
        run_training(tmp_path, quick("aspire-dfr"), real_index, curated, kill, groups)
    resumed = run_training(tmp_path, quick("aspire-dfr"), real_index, curated, groups=groups)
    assert resumed.training_id == dfr.training_id and resumed.trained
    file = "model.safetensors"
    assert (resumed.folder / file).read_bytes() == (dfr.folder / file).read_bytes()
    assert {**resumed.head.settings, "shards": 0} == {**dfr.head.settings, "shards": 0}
    assert not run_training(tmp_path, quick("aspire-dfr"), real_index, curated, groups=groups).trained


def test_a_changed_grouping_is_a_new_training(
    tmp_path: Path, dfr: TrainingResult, real_index: Path, curated: Path
) -> None:
    other = write_groups(tmp_path / "other.parquet", real_index, {"square": "red light", "cross": None})
    result = run_training(tmp_path, quick("aspire-dfr"), real_index, curated, groups=other)
    assert result.training_id != dfr.training_id
    assert result.head.settings["last_layer"]["groups"]["cross"] == 64


def test_what_aspire_cannot_train_says_why(tmp_path: Path, real_index: Path, curated: Path, groups: Path) -> None:
    with pytest.raises(TrainerError, match="balances discovered groups; give their manifest, or set dfr_groups"):
        run_training(tmp_path, quick("aspire-dfr"), real_index, curated)
    with pytest.raises(TrainerError, match="'aspire-erm' trains on synthetic samples; give the curated index"):
        run_training(tmp_path, quick("aspire-erm"), real_index)
    with pytest.raises(TrainerError, match="'synthetic-validation' reads synthetic samples; give the curated index"):
        run_training(tmp_path, quick("erm", selection="synthetic-validation"), real_index)
    uneven = spurious_free_index(tmp_path / "uneven", {"balanced": {(0, 0): 3, (1, 1): 2}})
    with pytest.raises(MixError, match="split balanced; it has square 3, cross 2"):
        run_training(tmp_path, quick("aspire-erm"), real_index, uneven)
    with pytest.raises(MixError, match=r"asb balances .* 40 samples of the curated index have an unknown bias"):
        run_training(tmp_path, quick("asb"), real_index, curated)
    assert not (tmp_path / "training").exists()


def test_a_planted_shortcut_fools_erm_and_not_aspire(tmp_path: Path) -> None:
    biased = {(0, 0): 198, (0, 1): 2, (1, 0): 2, (1, 1): 198}
    even = dict.fromkeys(biased, 60)
    real = write_index(tmp_path / "real", shape_pictures({"train": biased, "val": even, "test": even}))
    curated = spurious_free_index(tmp_path / "curated", {"balanced": dict.fromkeys(biased, 98)})
    groups = write_groups(tmp_path / "groups.parquet", real)
    stage = StageSettings(epochs=5, lr=3e-3, batch_size=16)
    worst = {}
    for method in ("erm", "aspire-erm", "aspire-dfr"):
        settings = TrainSettings(method, image_size=16, main=stage)
        worst[method] = run_training(tmp_path, settings, real, curated, groups=groups).test["worst_group"]
    # Another processor's training is as another seed's. Over seeds 2, 4, 5 and 6 ERM has 0 to 0.45, ASPIRE's ERM above
    # 0.96 and 0.55 more than ERM at least, and its DFR, refit from 2 pictures a group, 0.28 more at least.
    assert worst["erm"] < 0.6
    assert worst["aspire-erm"] > worst["erm"] + 0.3
    assert worst["aspire-dfr"] > worst["erm"] + 0.1
