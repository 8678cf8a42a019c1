"""A name stands for a class or for a sentence that says what is missing."""

from __future__ import annotations

import dataclasses
import re

import pytest

from fairshards import families
from fairshards.filters.registry import PICTURE_FILTERS, filter_class, score_titles, scorers_of, version_of
from fairshards.filters.scorers.base import Scorer, own_scores
from fairshards.pipeline.recipe.base import filter_problems
from fairshards.plugins import Family, PluginError, identity, imported, path_of
from tests.plugin.conftest import ALL


@pytest.mark.parametrize("family", ALL, ids=lambda family: family.name)
def test_everything_built_in_is_what_its_family_asks_for(family: Family[object]) -> None:
    assert [family.problem(family[name]) for name in family.built_in] == [None] * len(family.built_in)
    assert all(identity(family[name]) == {} for name in family.built_in), "ours add nothing to hashes"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "variace",
            r"'variace' \(did you mean 'variance'\?\); known: clip_alignment, .*; or a class by its dotted path",
        ),
        ("outside.filters.Green", "module 'outside.filters' has no attribute 'Green'"),
        ("outside.filtres.Blue", r"there is no module 'outside\.filtres' here; install its package, or put"),
        ("outside.filters.BlueShare", r"is no class derived from fairshards\.filters\.base\.Filter"),
        ("outside.filters.Unfinished", r"lacks name, scores, which fairshards\.filters\.base\.Filter asks for"),
    ],
)
def test_what_a_family_refuses(importable: None, name: str, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        PICTURE_FILTERS[name]


def test_a_class_without_its_decorator_or_a_method_is_refused(importable: None) -> None:
    bare = type("Bare", (imported("outside.filters.Blue"),), {})
    assert "put @dataclass(frozen=True) above the class" in str(PICTURE_FILTERS.problem(bare))
    assert "lacks listing, read" in str(
        families.SOURCE_READERS.problem(imported("fairshards.transforms.sources.base.SourceReader"))
    )


def test_a_class_of_somebody_elses_goes_by_path_and_version(importable: None) -> None:
    blue = filter_class("outside.filters.Blue")
    assert (
        identity(blue) == {"class": "outside.filters.Blue", "version": "1"} and path_of(blue) == "outside.filters.Blue"
    )
    assert version_of(blue) == ["1", "outside.filters.Blue"] and version_of(filter_class("variance")) == ["1"]
    (scorer,) = scorers_of({"outside.filters.Blue": {"min": 0.1, "step": 2}, "variance": {"max": 1.0}})
    assert scorer.settings == {"class": "outside.filters.BlueShare", "version": "1", "step": 2}
    assert score_titles(["outside.filters.Blue"])["blue_share"].sentence.endswith("is blue, in parts of one")
    assert "blue_share" not in score_titles()


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("Blue", {"min": 2}, "filters.outside.filters.Blue: blue.min is 2; a share lies in [0, 1]"),
        ("Blue", {"mni": 0.2}, "filters.outside.filters.Blue has an unknown key 'mni' (did you mean 'min'?)"),
        ("Blue", {}, "filters.outside.filters.Blue: blue needs min (a share in [0, 1]), retain, or both"),
        ("Unscored", {"min": 0.1}, "score 'clip_alignmnt', which nobody takes (did you mean 'clip_alignment'?)"),
    ],
)
def test_wrong_options_are_refused_with_the_recipe(importable: None, name: str, settings: object, said: str) -> None:
    problems = "\n".join(filter_problems({f"outside.filters.{name}": settings}, PICTURE_FILTERS))  # type: ignore[dict-item]
    assert said in problems


@dataclasses.dataclass(frozen=True)
class Constant(Scorer):
    """Gives what it is told."""

    scores = ("constant",)
    values: tuple[float | None, ...] = ()
    called: str = "constant"

    def score(self, samples, plan):  # type: ignore[no-untyped-def]
        return [{self.called: value} for value in self.values]


def test_own_scores_as_manifests_hold_them() -> None:
    rows = list(own_scores([Constant((0.5, None, float("nan")))], [None] * 3, [{}] * 3))
    assert [(number, row["value"], row["status"], row["reason"]) for number, row in rows] == [
        (0, 0.5, "ok", None),
        (2, None, "reject", "not_finite"),
    ]
    assert list(own_scores([Constant()], [], [])) == []
    for scorer, said in ((Constant((1.0,)), "scores of 1 samples for 2"), (Constant((1.0, 1.0), "other"), "['other']")):
        with pytest.raises(ValueError, match=re.escape(said)):
            list(own_scores([scorer], [None] * 2, [{}] * 2))
