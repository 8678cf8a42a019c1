"""Models: shapes, fresh weights by seed, timm backbones with weights from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from trainers.errors import TrainerError
from trainers.models import build_model

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
