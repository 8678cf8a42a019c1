"""Integrated gradients: exact where the function is linear, complete elsewhere, and zero where nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fairshards.trainers.classifiers.integrated_gradients import integrated_gradients
from fairshards.trainers.classifiers.models import Classifier, build_model
from fairshards.trainers.classifiers.reference import ReferenceClassifier

SIZE = 32


def picture(seed: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def convnet() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model("pocket-convnet", 2)
    model.network[-1].weight.data.mul_(400)  # type: ignore[index]
    return model


@pytest.fixture(scope="module")
def reference() -> ReferenceClassifier:
    return ReferenceClassifier(convnet(), ("landbird", "waterbird"), SIZE)


def test_a_linear_function_is_shared_out_exactly() -> None:
    weights, start, end = (torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(n)) for n in range(3))
    for steps in (1, 5):
        found = integrated_gradients(lambda points: (points * weights).sum((1, 2, 3)) + 7, start, end, steps)
        assert torch.allclose(found, weights * (end - start), atol=1e-6)


def test_a_square_is_integrated_exactly_by_its_middles() -> None:
    """The gradient 2x is linear on the way, so that its mean is the value in the middle: end^2 - start^2."""
    start, end = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 2.0])
    found = integrated_gradients(lambda points: (points**2).sum(1), start, end, 3)
    assert found.tolist() == pytest.approx([8.0, 0.0], abs=1e-5)


def test_the_shares_come_to_the_whole_change_and_the_closer_the_more_steps() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid(), nn.Flatten(0))
    for seed, layer in enumerate((model[0], model[2])):
        layer.weight.data = 2 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(seed))
    start, end = -torch.ones(6), torch.ones(6)
    whole = float((model(end[None]) - model(start[None])).detach())
    errors = [abs(float(integrated_gradients(model, start, end, steps).sum()) - whole) for steps in (4, 32, 256)]
    assert abs(whole) > 0.1 and errors[0] > errors[1] > errors[2] and errors[1] < 5e-3


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 steps"):
        integrated_gradients(torch.sum, torch.zeros(2), torch.ones(2), 0)
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        integrated_gradients(torch.sum, torch.zeros(2), torch.ones(3))


def test_without_a_mask_rho_is_the_fall_of_the_classs_probability(reference: ReferenceClassifier) -> None:
    before, after = Image.fromarray(picture(0)), Image.fromarray(picture(1) // 10)
    shares = reference.probabilities([before, after])
    for y in (0, 1):
        rho = reference.mask_attribution(before, after, None, y)
        assert rho == pytest.approx(shares[0][y] - shares[1][y], abs=0.01)
    assert abs(shares[0][0] - shares[1][0]) > 0.1


def test_what_changes_outside_the_mask_does_not_count(reference: ReferenceClassifier) -> None:
    before, mask = picture(0), np.zeros((SIZE, SIZE), bool)
    mask[:, : SIZE // 2] = True
    outside = np.where(mask[..., None], before, picture(1) // 10)
    pair = Image.fromarray(before), Image.fromarray(outside)
    assert reference.mask_attribution(*pair, mask, 0) == 0.0
    whole = reference.mask_attribution(*pair, None, 0)
    assert abs(whole) > 0.01 and reference.mask_attribution(*pair, ~mask, 0) == pytest.approx(whole, abs=1e-9)


def test_a_mask_is_resized_as_its_picture_is(reference: ReferenceClassifier) -> None:
    large = [np.kron(picture(seed) // (1 + seed), np.ones((2, 2, 1), np.uint8)) for seed in (0, 1)]
    mask = np.zeros((2 * SIZE, 2 * SIZE), bool)
    mask[:SIZE] = True
    whole = [Image.fromarray(pixels) for pixels in large]
    top, bottom = (reference.mask_attribution(*whole, part, 1) for part in (mask, ~mask))
    assert top + bottom == pytest.approx(reference.mask_attribution(*whole, None, 1), abs=1e-6)
    assert top != pytest.approx(bottom, abs=1e-4)


def test_gradients_are_followed_where_others_are_switched_off() -> None:
    def total(points: Tensor) -> Tensor:
        return points.sum(1)

    with torch.no_grad():
        assert integrated_gradients(total, torch.zeros(2), torch.ones(2)).tolist() == [1.0, 1.0]
