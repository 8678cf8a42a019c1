"""A whole personalisation: what it commits, that it is looked up, and that a killed one ends with the same bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fairshards.catalogs.manifests.manifest import read_rows
from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.trainers.core.errors import ShardError, TrainerError
from fairshards.trainers.core.index import Sample
from fairshards.trainers.personal import personalise as personalise_module
from fairshards.trainers.personal.learner import mean_losses
from fairshards.trainers.personal.personalise import personalise
from fairshards.trainers.personal.record import read_personalised
from tests.trainers.concepts import CROSS, FINGERPRINT, METHODS, concept, few_pictures, quick, teach_cross

Samples = tuple[Sample, ...]


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("method", METHODS)
def test_it_commits_weights_settings_and_manifest(
    method: str, tiny_folder: Path, tmp_path: Path, crosses: Samples
) -> None:
    losses: list[float] = []
    made = teach_cross(
        tmp_path, tiny_folder, crosses, quick(method), progress=lambda step, steps, loss: losses.append(loss)
    )
    assert made.folder == tmp_path / "personal" / made.personal_id and len(made.personal_id) == 12 and made.trained
    assert sorted(path.name for path in made.folder.iterdir()) == sorted(
        [made.weights.name, "personal.parquet", "settings.json"]
    )
    assert json.loads((made.folder / "settings.json").read_text())["settings"]["method"] == method
    head, rows = read_rows(made.folder / "personal.parquet")
    assert (head.stage, head.task) == ("personalise", made.personal_id)
    assert [(row["sample_id"], row["image_sha256"], row["position"]) for row in rows] == [
        (sample.sample_id, sample.image_sha256, number) for number, sample in enumerate(crosses)
    ]
    assert {(row["concept"], row["token"]) for row in rows} == {("cross on red", concept(method).token)}
    assert (made.loss_first, made.loss_last) == mean_losses(losses) == (losses[0], losses[-1])
    assert head.settings["model_fingerprint"] == FINGERPRINT and head.settings["steps"] == len(losses) == 6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_killed_one_ends_with_the_same_bytes(
    method: str, at: int, tiny_folder: Path, tmp_path: Path, crosses: Samples
) -> None:
    """Killed before the first checkpoint, between two, and between the last one and the commit."""
    whole = teach_cross(tmp_path / "whole", tiny_folder, crosses, quick(method))
    steps: list[int] = []

    def kill(step: int, total: int, loss: float) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        teach_cross(tmp_path / "cut", tiny_folder, crosses, quick(method), progress=kill)
    resumed = teach_cross(
        tmp_path / "cut", tiny_folder, crosses, quick(method), progress=lambda step, *_: steps.append(step)
    )
    assert steps == list(range(at // 2 * 2 + 1, 7))
    assert resumed.weights.read_bytes() == whole.weights.read_bytes()
    assert resumed.head.content_sha256 == whole.head.content_sha256
    assert (resumed.loss_first, resumed.loss_last) == (whole.loss_first, whole.loss_last)
    assert not list(resumed.folder.glob("*.checkpoint.*"))


def test_cost_settings_change_no_byte(tiny_folder: Path, tmp_path: Path, crosses: Samples) -> None:
    plain = teach_cross(tmp_path / "a", tiny_folder, crosses, quick(gradient_checkpointing=False))
    saving = teach_cross(tmp_path / "b", tiny_folder, crosses, quick(gradient_checkpointing=True, save_every=5))
    assert plain.personal_id == saving.personal_id
    assert plain.weights.read_bytes() == saving.weights.read_bytes()


def test_a_committed_one_is_looked_up(
    tiny_folder: Path, tmp_path: Path, crosses: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = teach_cross(tmp_path, tiny_folder, crosses, quick())
    monkeypatch.setattr(personalise_module, "load_pipeline", lambda *_, **__: pytest.fail("it was trained again"))
    again = teach_cross(tmp_path, tiny_folder, crosses, quick(save_every=3))
    assert not again.trained and again == replace(first, trained=False)


def test_lost_weights_are_made_again_and_changed_ones_refused(
    tiny_folder: Path, tmp_path: Path, crosses: Samples
) -> None:
    first = teach_cross(tmp_path, tiny_folder, crosses, quick(steps=1))
    before = first.weights.read_bytes()
    first.weights.unlink()
    assert teach_cross(tmp_path, tiny_folder, crosses, quick(steps=1)).trained
    assert first.weights.read_bytes() == before
    first.weights.write_bytes(before[:-1] + b"\0\0")
    with pytest.raises(TrainerError, match="was changed after its commit"):
        read_personalised(first.folder)


def test_settings_pictures_concept_and_model_tell_them_apart(
    tiny_folder: Path, tmp_path: Path, crosses: Samples
) -> None:
    one = quick(steps=1)
    made = [
        teach_cross(tmp_path, tiny_folder, crosses, one),
        teach_cross(tmp_path, tiny_folder, crosses, replace(one, seed=1)),
        teach_cross(tmp_path, tiny_folder, crosses[:2], one),
        personalise(tmp_path, tiny_folder, FINGERPRINT, one, replace(CROSS, token="<plus>"), crosses),
        personalise(tmp_path, tiny_folder, "0" * 64, one, CROSS, crosses),
    ]
    assert len({one.personal_id for one in made}) == 5 and all(one.trained for one in made)
    assert len({one.fingerprint for one in made[:4]}) == 4 and len(made[0].fingerprint) == 64


def test_the_global_generator_is_left_alone(tiny_folder: Path, tmp_path: Path, crosses: Samples) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    teach_cross(tmp_path, tiny_folder, crosses, quick("dreambooth-lora", steps=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_loss_falls(tiny_folder: Path, tmp_path: Path, crosses: Samples) -> None:
    """An untrained U-Net has much to learn; LoRA at a high rate gets it down in a few steps."""
    made = teach_cross(tmp_path, tiny_folder, crosses, quick("dreambooth-lora", steps=160, save_every=999))
    assert made.loss_last < 0.95 * made.loss_first


def test_what_cannot_be_taught_says_why(tiny_folder: Path, tmp_path: Path, crosses: Samples) -> None:
    with pytest.raises(TrainerError, match="concept 'cross on red' has no picture"):
        teach_cross(tmp_path, tiny_folder, (), quick())
    with pytest.raises(TrainerError, match=f"has 1 pictures twice, first {crosses[0].sample_id}"):
        teach_cross(tmp_path, tiny_folder, (*crosses, crosses[0]), quick())
    with pytest.raises(TrainerError, match="can't be a new word"):
        personalise(tmp_path, tiny_folder, FINGERPRINT, quick(), replace(CROSS, token="cross"), crosses)
    with pytest.raises(ModelFilesError):
        teach_cross(tmp_path, tmp_path / "nowhere", crosses, quick())
    with pytest.raises(TrainerError, match=r"step \d of 6: the loss is (nan|inf).*lower lr, which is 1e\+30"):
        teach_cross(tmp_path, tiny_folder, crosses, quick(lr=1e30))
    gone = few_pictures(tmp_path / "gone")
    gone[0].shard.unlink()
    with pytest.raises(ShardError):
        teach_cross(tmp_path, tiny_folder, gone, quick())
    assert not list(tmp_path.glob("personal/*/personal.parquet"))
