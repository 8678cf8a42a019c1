"""Models: shapes, fresh weights by seed, timm backbones with weights from a folder."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from fairshards.pipeline.recipe.training import Training, train_settings
from fairshards.trainers.classifiers.models import build_model, check_backbone, other_normalisation
from fairshards.trainers.classifiers.record import training_hash
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.classifiers.timm_config import input_side
from fairshards.trainers.core.errors import TrainerError

TINY = "timm:test_resnet"


def test_the_pocket_net_takes_bytes_and_gives_logits() -> None:
    model = build_model("pocket-convnet", 3).eval()
    assert model(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)).shape == (2, 3)
    assert model(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).shape == (1, 3)
    assert sum(parameter.numel() for parameter in model.parameters()) < 100_000


def test_the_seed_decides_fresh_weights() -> None:
    def fresh(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(build_model("pocket-convnet", 2).parameters()).detach()

    assert torch.equal(fresh(1), fresh(1))
    assert not torch.equal(fresh(1), fresh(2))


def test_a_timm_backbone_has_its_own_normalisation_and_a_new_head() -> None:
    model = build_model(TINY, 5).eval()
    cfg = timm.create_model("test_resnet").default_cfg
    assert model.mean.flatten().tolist() == pytest.approx(cfg["mean"])
    assert model(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape == (2, 5)


def test_weights_from_a_folder_fill_all_but_a_head_of_another_size(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=1000)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    loaded = build_model(TINY, 2, weights=str(tmp_path)).network.state_dict()
    for name, tensor in source.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(loaded[name], tensor), name
    assert loaded["fc.weight"].shape[0] == 2


def write_weights(folder: Path, **said: object) -> str:
    """Write test_resnet's weights with timm's ``config.json`` and return the folder."""
    folder.mkdir(exist_ok=True)
    save_file(timm.create_model("test_resnet", num_classes=7).state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 7, **said}))
    return str(folder)


@pytest.mark.parametrize("inside", [True, False])
def test_weights_keep_the_normalisation_that_they_were_trained_with(tmp_path: Path, inside: bool) -> None:
    said = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 96, 96]}
    folder = write_weights(tmp_path / "own", **({"pretrained_cfg": said} if inside else said))
    model = build_model(TINY, 2, weights=folder)
    assert model.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert model.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    assert input_side(Path(folder)) == 96
    own = TrainSettings("erm", model=TINY, weights=folder)
    plain = write_weights(tmp_path / "plain")
    shutil.copy(Path(folder) / "model.safetensors", Path(plain) / "model.safetensors")
    assert training_hash(own, []) != training_hash(replace(own, weights=plain), [])
    write_weights(tmp_path / "usual", mean=[0.5] * 3, std=[0.5] * 3)  # as timm has it: the same training as before
    shutil.copy(Path(folder) / "model.safetensors", tmp_path / "usual" / "model.safetensors")
    assert other_normalisation(TINY, str(tmp_path / "usual")) == {}


def test_weights_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = write_weights(tmp_path / "own")
    assert training_hash(TrainSettings("erm", model=TINY, weights="~/own"), []) == training_hash(
        TrainSettings("erm", model=TINY, weights=folder), []
    )


def test_a_recipes_image_size_is_that_of_its_weights_unless_it_says_another(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "own", input_size=[3, 96, 96])
    for settings, size in (({}, 96), ({"image_size": 48}, 48)):
        options = {"model": TINY, "weights": folder, **settings}
        training = Training.model_validate({"methods": ["erm"], "settings": options})
        assert [one.image_size for one in train_settings(training)] == [size]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"architecture": "resnet50"}, "weights in .* are of resnet50 .config.json., but the model is test_resnet"),
        ({"mean": [0.5], "std": [0.5]}, "expected three numbers each"),
        ({"mean": 0.5, "std": [0.5] * 3}, "expected three numbers each"),
        ({"mean": [0.5] * 3, "std": [0.5, 0, 0.5]}, "deviations above 0"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, said: dict[str, object], message: str) -> None:
    with pytest.raises(TrainerError, match=message):
        build_model(TINY, 2, weights=write_weights(tmp_path / "own", **said))


def test_weights_that_fit_are_checked_without_a_word(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "own")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warned of every tensor
        check_backbone(TINY, 2, 64, folder)
    with pytest.raises(TrainerError, match="aren't this backbone's"):
        check_backbone("timm:test_vit", 2, 160, write_weights(tmp_path / "other", architecture="test_vit"))


def test_weights_of_another_backbone_are_refused(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", num_classes=2).state_dict()
    state["strange"] = state.pop("conv1.0.weight")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(TrainerError, match=r"1 tensors missing.*conv1\.0\.weight.*1 unknown.*strange"):
        build_model(TINY, 2, weights=str(tmp_path))


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(TrainerError, match=r"no weights at .*pytorch_model\.bin.*pickled ones"):
        build_model(TINY, 2, weights=str(tmp_path))
    with pytest.raises(TrainerError, match="no such folder"):
        build_model(TINY, 2, weights=str(tmp_path / "gone"))


@pytest.mark.parametrize("name", ["resnet50", "timm:no_such_net", "pocket"])
def test_an_unknown_model_is_named_with_what_is_expected(name: str) -> None:
    with pytest.raises(TrainerError, match=rf"no model '{name}'; expected 'pocket-convnet' or a timm name"):
        build_model(name, 2)


def test_the_pocket_net_has_no_weights_to_start_from() -> None:
    with pytest.raises(TrainerError, match="starts from fresh weights"):
        build_model("pocket-convnet", 2, pretrained=True)
