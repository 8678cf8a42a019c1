"""What chooses an epoch: groups, classes, or generated samples; never a bias label for ASPIRE."""

from __future__ import annotations

import pytest

from fairshards.trainers.classifiers.selection import SELECTION, chosen_on, rule
from fairshards.trainers.classifiers.settings import TrainSettings
from fairshards.trainers.core.errors import MixError
from fairshards.trainers.core.index import without_bias
from tests.trainers.shapes import bare_samples

VAL = bare_samples({(0, 0): 3, (0, 1): 1, (1, 0): 1, (1, 1): 3}, "val")
GENERATED = [
    *bare_samples({(0, 0): 4, (1, 0): 4}, "balanced", g=1),
    *bare_samples({(0, 0): 2, (1, 1): 2}, "validation", g=1),
]


@pytest.mark.parametrize(
    ("settings", "groups"),
    [
        (TrainSettings("erm"), {"class0|bias0", "class0|bias1", "class1|bias0", "class1|bias1"}),
        (TrainSettings("erm", selection="worst-class"), {"class0|unknown", "class1|unknown"}),
        (TrainSettings("aspire-erm"), {"class0|unknown", "class1|unknown"}),
        (TrainSettings("aspire-dfr"), {"class0|unknown", "class1|unknown"}),
    ],
)
def test_real_validation_chooses_by_its_groups_or_by_its_classes(settings: TrainSettings, groups: set[str]) -> None:
    chosen = chosen_on(settings, VAL, GENERATED)
    assert [sample.sample_id for sample in chosen] == [sample.sample_id for sample in VAL]
    assert {sample.group_name for sample in chosen} == groups


def test_a_generated_validation_set_chooses_by_class() -> None:
    chosen = chosen_on(TrainSettings("aspire-erm", selection="synthetic-validation"), VAL, GENERATED)
    assert chosen == without_bias(GENERATED[-4:])


@pytest.mark.parametrize("generated", [GENERATED[:-1], GENERATED[:-2], GENERATED[:8]])
def test_a_generated_validation_set_must_be_balanced(generated: list[object]) -> None:
    with pytest.raises(MixError, match=r"as many synthetic samples of every class .* split validation; it has class0"):
        chosen_on(TrainSettings("aspire-erm", selection="synthetic-validation"), VAL, generated)  # type: ignore[arg-type]


def test_the_rule_in_words() -> None:
    assert rule(TrainSettings("ffr")) == SELECTION and SELECTION.startswith("worst-group accuracy on real validation")
    assert rule(TrainSettings("aspire-erm")).startswith("worst-class accuracy on real validation")
    generated = TrainSettings("aspire-erm", selection="synthetic-validation")
    assert rule(generated).startswith("worst-class accuracy on the generated balanced validation set")
    assert rule(TrainSettings("aspire-dfr")).endswith("worst-group accuracy over discovered groups on real validation")
    assert "over true groups" in rule(TrainSettings("aspire-dfr", options={"dfr_groups": "true"}))
