"""A whole training: what it saw, what it commits, and that balanced synthetic pictures break a shortcut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fairshards.catalogs.manifests.manifest import read_rows
from fairshards.trainers.classifiers import run as run_module
from fairshards.trainers.classifiers.run import load_model, run_training
from fairshards.trainers.classifiers.settings import StageSettings, TrainSettings
from fairshards.trainers.core.errors import MixError, ShardError, TrainerError
from fairshards.trainers.core.index import read_index
from fairshards.trainers.core.loaders import load_pictures
from fairshards.trainers.core.place import Place, resolve_device
from fairshards.trainers.evaluation.evaluate import group_accuracies, predict
from tests.trainers.shapes import BIASED, EVEN, bare_samples, quick, shape_pictures, write_index


def shards_of(result: Any, use: str) -> list[dict[str, Any]]:
    return [row for row in result.head.settings["shards"] if row["use"] == use]


def test_ffr_sees_no_real_sample_in_stage_1_and_no_synthetic_one_in_stage_2(
    tmp_path: Path, real_index: Path, synthetic_index: Path
) -> None:
    result = run_training(tmp_path, quick("ffr", "resample"), real_index, synthetic_index)
    first, second = shards_of(result, "stage1"), shards_of(result, "stage2")
    assert {row["g"] for row in first} == {1} and sum(row["samples"] for row in first) == 4 * 28
    assert {row["g"] for row in second} == {0} and sum(row["samples"] for row in second) == sum(BIASED.values())
    assert all((tmp_path / row["shard"]).resolve().parent == synthetic_index.parent for row in first)
    assert all((tmp_path / row["shard"]).resolve().parent == real_index.parent for row in second)
    stages = result.head.settings["stages"]
    assert (stages["stage1"]["synthetic"], stages["stage2"]["synthetic"]) == (112, 0)
    assert stages["stage1"]["mutual_information_bits"] == {"I(Y;B)": 0.0, "I(Y;(B,G))": 0.0}
    assert (stages["stage1"]["draws"], stages["stage2"]["draws"]) == ("uniform", "resample (y,b)")


@pytest.mark.parametrize(("method", "synthetic"), [("erm", 0), ("usb", 112), ("asb", 112)])
def test_one_stage_methods_record_what_they_mixed(
    method: str, synthetic: int, tmp_path: Path, real_index: Path, synthetic_index: Path
) -> None:
    result = run_training(tmp_path, quick(method, "resample"), real_index, synthetic_index)
    seen = shards_of(result, "train")
    assert sum(row["samples"] for row in seen if row["g"]) == synthetic
    assert sum(row["samples"] for row in seen if not row["g"]) == 128
    assert result.head.settings["stages"]["train"]["draws"] == f"resample (y,b{',g' if synthetic else ''})"
    assert len(result.head.inputs) == (2 if synthetic else 1)


def test_a_training_leaves_its_settings_weights_and_manifest(
    tmp_path: Path, real_index: Path, synthetic_index: Path
) -> None:
    result = run_training(tmp_path, quick("ffr"), real_index, synthetic_index)
    assert result.folder == tmp_path / "training" / result.training_id and len(result.training_id) == 12
    names = sorted(path.name for path in result.folder.iterdir())
    assert names == ["metrics.parquet", "model.safetensors", "settings.json", "stage1.safetensors"]
    assert json.loads((result.folder / "settings.json").read_text())["settings"]["method"] == "ffr"
    head, rows = read_rows(result.folder / "metrics.parquet")
    assert head.stage == "train" and head.task_hash.startswith(result.training_id)
    assert [(r["stage"], r["split"]) for r in rows[::4]] == [
        ("stage1", "val"),
        ("stage1", "test"),
        ("final", "val"),
        ("final", "test"),
    ]
    assert all(row["low"] <= row["accuracy"] == row["correct"] / row["n"] <= row["high"] for row in rows)
    assert rows[0]["class_name"] == "square" and rows[0]["bias_name"] == "red"
    said = head.settings
    assert said["epochs"] == {"stage1": 2, "stage2": 2} and said["seed"] == 0
    assert "worst-group accuracy on real validation" in said["selection"]
    assert said["metrics"]["final"]["test"] == result.test


def test_the_committed_model_has_the_committed_accuracy(
    tmp_path: Path, real_index: Path, synthetic_index: Path
) -> None:
    result = run_training(tmp_path, quick("ffr", epochs=3), real_index, synthetic_index)
    test = read_index(real_index, g=0).of("test")
    for stage in ("stage1", "final"):
        predicted = predict(
            load_model(result.folder, stage), load_pictures(test, 16, 1 << 30), Place(torch.device("cpu"))
        )
        worst = min(group.accuracy for group in group_accuracies(predicted, test))
        assert worst == result.metrics[stage]["test"]["worst_group"]


def test_a_committed_training_is_skipped_without_reading_a_shard(
    tmp_path: Path, real_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_training(tmp_path, quick("erm"), real_index)
    monkeypatch.setattr(run_module, "prepare_job", lambda *_: pytest.fail("it was trained again"))
    again = run_training(tmp_path, replace(quick("erm"), workers=2), real_index)
    assert first.trained and not again.trained
    assert (again.training_id, again.metrics) == (first.training_id, first.metrics)


def test_lost_weights_are_trained_again(tmp_path: Path, real_index: Path) -> None:
    first = run_training(tmp_path, quick("erm"), real_index)
    before = (first.folder / "model.safetensors").read_bytes()
    (first.folder / "model.safetensors").unlink()
    with pytest.raises(TrainerError, match="holds no finished stage 'final'"):
        load_model(first.folder)
    assert run_training(tmp_path, quick("erm"), real_index).trained
    assert (first.folder / "model.safetensors").read_bytes() == before


def test_test_is_read_once_after_everything_is_chosen(
    tmp_path: Path, real_index: Path, synthetic_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def watched(samples: Any, *rest: Any) -> Any:
        events.append("read " + "/".join(sorted({sample.split for sample in samples})))
        return load_pictures(samples, *rest)

    monkeypatch.setattr(run_module, "load_pictures", watched)
    run_training(
        tmp_path,
        quick("ffr", epochs=1),
        real_index,
        synthetic_index,
        lambda stage, epoch, epochs, metrics: events.append(stage),
    )
    assert events == ["read val", "read balanced", "stage1", "read train", "stage2", "read test"]


def test_what_cannot_be_trained_says_why(tmp_path: Path, real_index: Path, synthetic_index: Path) -> None:
    with pytest.raises(TrainerError, match="method 'ffr' trains on synthetic samples; give the curated index"):
        run_training(tmp_path, quick("ffr"), real_index)
    with pytest.raises(TrainerError, match="were the two indexes swapped"):
        run_training(tmp_path, quick("ffr"), synthetic_index, real_index)
    with pytest.raises(MixError, match="should be balanced"):
        run_training(tmp_path, quick("balanced-real"), real_index)
    assert not (tmp_path / "training").exists()


def test_a_short_curated_index_is_an_error_before_anything_is_written(tmp_path: Path, real_index: Path) -> None:
    few = write_index(tmp_path / "few", shape_pictures({"balanced": {**dict.fromkeys(BIASED, 28), (1, 0): 27}}, g=1))
    with pytest.raises(MixError, match=r"cross\|red: got 27, expected 28 \(short\)"):
        run_training(tmp_path, quick("asb"), real_index, few)
    assert not (tmp_path / "training").exists()


def test_indexes_with_other_names_for_a_group_are_refused(tmp_path: Path, real_index: Path) -> None:
    swapped = [replace(picture, y=1 - picture.y) for picture in shape_pictures({"balanced": EVEN}, g=1)]
    index = write_index(tmp_path / "swapped", swapped, names=(("cross", "square"), ("red", "green")))
    with pytest.raises(TrainerError, match=r"group \(0, 0\) is 'square\|red' in the real index, 'cross\|red'"):
        run_training(tmp_path, quick("asb"), real_index, index)


def test_a_truncated_shard_stops_the_training_and_is_named(tmp_path: Path) -> None:
    index = write_index(tmp_path / "set", shape_pictures({"train": EVEN, "val": EVEN, "test": EVEN}), 30)
    shard = tmp_path / "set" / "train-0001.tar"
    shard.write_bytes(shard.read_bytes()[:4000])
    with pytest.raises(ShardError, match=r"train-0001\.tar: \d+ of 30 indexed images arrived"):
        run_training(tmp_path, quick("erm"), index)


def test_auto_means_what_this_machine_has() -> None:
    if not torch.cuda.is_available():
        assert resolve_device(TrainSettings("erm")) == (torch.device("cpu"), "float32")
        with pytest.raises(TrainerError, match="torch finds no CUDA"):
            resolve_device(TrainSettings("erm", device="cuda"))
    assert resolve_device(TrainSettings("erm", device="cpu", precision="bfloat16"))[1] == "bfloat16"


@pytest.fixture(scope="module")
def shortcut(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A real set whose background colour gives the class away in 99% of its pictures, and a curated set."""
    folder = tmp_path_factory.mktemp("shortcut")
    biased = {(0, 0): 198, (0, 1): 2, (1, 0): 2, (1, 1): 198}
    even = dict.fromkeys(biased, 60)
    real = write_index(folder / "real", shape_pictures({"train": biased, "val": even, "test": even}))
    pictures = shape_pictures({"balanced": dict.fromkeys(biased, 98)}, g=1)
    return real, write_index(folder / "curated", pictures)


def test_a_planted_shortcut_fools_erm_and_not_the_balanced_methods(tmp_path: Path, shortcut: tuple[Path, Path]) -> None:
    worst = {}
    stage = StageSettings(epochs=5, lr=3e-3, batch_size=16)
    for method in ("erm", "asb", "ffr"):
        settings = TrainSettings(method, image_size=16, main=stage, pretrain=stage, finetune=stage)
        worst[method] = run_training(tmp_path, settings, *shortcut).test["worst_group"]
    assert worst["erm"] < 0.5
    assert worst["asb"] > worst["erm"] + 0.1
    assert worst["ffr"] > worst["erm"] + 0.1


def test_bare_samples_have_unique_ids() -> None:
    samples = bare_samples(BIASED)
    assert len({sample.sample_id for sample in samples}) == len(samples) == 128
