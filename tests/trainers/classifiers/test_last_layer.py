"""The last layer refit in place: what it is given, and that a loaded model needs to know nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fairshards.trainers.classifiers.dfr import LinearHead
from fairshards.trainers.classifiers.last_layer import embed, fold
from fairshards.trainers.classifiers.models import build_model, last_linear
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.core.index import read_index
from fairshards.trainers.core.loaders import Pictures, load_pictures
from fairshards.trainers.core.place import Place
from tests.trainers.shapes import shape_pictures, write_index

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    index = write_index(tmp_path_factory.mktemp("few"), shape_pictures({"train": {(0, 0): 3, (1, 1): 3}}))
    return load_pictures(read_index(index, g=0).samples, 32, 1 << 30)


@pytest.mark.parametrize(("name", "width"), [("pocket-convnet", 96), ("timm:test_resnet", None)])
def test_the_folded_head_gives_its_logits_on_the_embeddings(name: str, width: int | None, pictures: Pictures) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3).train()
    layer = last_linear(model)
    embeddings = embed(model, pictures, Place(CPU))
    assert embeddings.shape == (6, width or layer.in_features) and embeddings.dtype == np.float64
    assert model.training and not layer._forward_pre_hooks
    rng = np.random.default_rng(0)
    head = LinearHead(rng.normal(size=(3, embeddings.shape[1])), rng.normal(size=3))
    fold(layer, head)
    images = torch.stack([pictures[number] for number in range(6)])
    with torch.inference_mode():
        logits = model.eval()(images).numpy()
    assert np.allclose(logits, embeddings @ head.weight.T + head.bias, atol=1e-4)


def test_what_timm_calls_pre_logits_is_what_the_last_layer_is_given(pictures: Pictures) -> None:
    model = build_model("timm:test_resnet", 2).eval()
    images = torch.stack([pictures[number] for number in range(6)])
    normal = (images.float() / 255 - model.mean) / model.std
    with torch.inference_mode():
        features = model.network.forward_features(normal)  # type: ignore[operator]
        expected = model.network.forward_head(features, pre_logits=True)  # type: ignore[operator]
    assert np.allclose(embed(model, pictures, Place(CPU)), expected.double().numpy(), atol=1e-5)


def test_a_model_without_a_last_linear_layer_is_refused() -> None:
    model = build_model("pocket-convnet", 2)
    model.network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
    with pytest.raises(TrainerError, match="the model ends in ReLU, but its last layer must be linear"):
        last_linear(model)
