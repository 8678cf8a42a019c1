"""Absence of spurious phrases and DDB's first condition: their filters, and the contrast that pocket-clip decides."""

from __future__ import annotations

import numpy as np
import pytest

from fairshards.filters.pictures.group_judge import GroupJudge
from fairshards.filters.pictures.shortcut_left import ShortcutLeft
from fairshards.filters.pictures.spurious_absence import SCORE, PhraseContrast, SpuriousAbsence
from fairshards.filters.scorers.clip_scorer import ClipScorer, ScoreRequest
from fairshards.pocket import checkpoint_path
from fairshards.pocket.scenes.render import render_sample

CONTRASTS = (
    PhraseContrast("water", ("a photo of a bird on water",), ("a photo of a bird on land",)),
    PhraseContrast("land", ("a photo of a bird on land",), ("a photo of a bird on water",)),
)


@pytest.fixture(scope="module")
def scorer() -> ClipScorer:
    return ClipScorer.load(
        checkpoint_path("pocket-clip"),
        class_prompts=[["a photo of a landbird"], ["a photo of a waterbird"]],
        bias_prompts=[["a photo of a bird on land"], ["a photo of a bird on water"]],
        class_names=("landbird", "waterbird"),
        bias_names=("land", "water"),
        device="cpu",
        contrasts=CONTRASTS,
    )


def pictures(place: str, count: int = 20) -> list[np.ndarray]:
    return [render_sample("absence-test", 0, n, ("landbird", "waterbird")[n % 2], place).image for n in range(count)]


def test_clip_tells_a_phrase_from_what_stands_in_its_place(scorer: ClipScorer) -> None:
    for place, other in (("water", "land"), ("land", "water")):
        images = pictures(place)
        asked = [ScoreRequest(str(n), "a photo of a bird", n % 2, -1, (place,)) for n in range(len(images))]
        free = [ScoreRequest(str(n), "a photo of a bird", n % 2, -1, (other,)) for n in range(len(images))]
        seen, unseen = ([rows[-1] for rows in scorer.score(images, requests)] for requests in (asked, free))
        assert {row.score for row in (*seen, *unseen)} == {SCORE}
        assert np.mean([row.value > 0.5 for row in seen]) > 0.9  # type: ignore[operator]
        assert np.mean([row.value < 0.5 for row in unseen]) > 0.9  # type: ignore[operator]


def test_the_likeliest_of_several_phrases_counts_and_names_the_row(scorer: ClipScorer) -> None:
    (rows,) = scorer.score(pictures("water", 1), [ScoreRequest("a", "a bird", 0, -1, ("land", "water"))])
    assert (rows[-1].score, rows[-1].label) == (SCORE, "water")
    assert rows[-1].value is not None and rows[-1].value > 0.5


def test_a_phrase_without_a_contrast_is_a_reject_row_and_the_other_scores_stand(scorer: ClipScorer) -> None:
    (rows,) = scorer.score(pictures("water", 1), [ScoreRequest("a", "a bird", 0, -1, ("a unicorn",))])
    assert (rows[-1].status, rows[-1].reason) == ("reject", "no_contrast")
    assert "'a unicorn'" in str(rows[-1].detail) and "land" in str(rows[-1].detail)
    assert {row.score for row in rows if row.status == "ok"} == {"clip_alignment", "judge_class", "grey_scale"}


def test_a_sample_with_a_bias_value_and_no_phrase_has_the_scores_it_always_had(scorer: ClipScorer) -> None:
    (rows,) = scorer.score(pictures("water", 1), [ScoreRequest("a", "a bird", 0, 1)])
    assert [row.score for row in rows] == ["clip_alignment", "judge_class", "judge_bias", "grey_scale"]


@pytest.mark.parametrize(("present", "absent"), [((), ("a",)), (("a",), ())])
def test_a_contrast_needs_prompts_of_both_kinds(present: tuple[str, ...], absent: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="'water' needs prompts of pictures with it and without it"):
        PhraseContrast("water", present, absent)


def test_only_samples_that_must_be_free_of_phrases_are_judged_for_them() -> None:
    keep, bound = SpuriousAbsence(max=0.5), {"spurious": '["water"]'}
    assert keep.decide({SCORE: 0.5}, {}, bound) is True
    assert keep.decide({SCORE: 0.51}, {}, bound) == (False, "spurious")
    assert keep.decide({}, {}, bound) == (False, "spurious_absence: not scored")
    assert keep.decide({}, {}, {"spurious": None}) is True
    assert (keep.needs(bound), keep.needs({})) == ((SCORE,), ())
    with pytest.raises(ValueError, match=r"max is 1.5; it lies in \[0, 1\]"):
        SpuriousAbsence(max=1.5)


def test_a_picture_whose_class_erm_is_as_sure_of_as_of_real_ones_is_pruned() -> None:
    assert ShortcutLeft().decide({"reference_excess": -0.2}, {}, {}) is True
    assert ShortcutLeft().decide({"reference_excess": 0.0}, {}, {}) == (False, "shortcut_left")
    assert ShortcutLeft(margin=0.1).decide({"reference_excess": 0.05}, {}, {}) is True
    assert ShortcutLeft().decide({"reference_excess": None}, {}, {}) == (False, "shortcut_left: not scored")
    with pytest.raises(ValueError, match=r"margin is 2; it lies in \[-1, 1\]"):
        ShortcutLeft(margin=2)


def test_of_an_unknown_bias_value_only_the_class_is_judged() -> None:
    sample = {"class_name": "landbird", "bias_name": "unknown", "b": -1}
    judge = GroupJudge(min_probability=0.6)
    assert judge.decide({"judge_class": 0.7}, {"judge_class": "landbird"}, sample) is True
    assert judge.decide({"judge_class": 0.7}, {"judge_class": "waterbird"}, sample) == (False, "class")
    assert judge.decide({"judge_class": 0.5}, {"judge_class": "landbird"}, sample) == (False, "class_unsure")
    known = {"class_name": "landbird", "bias_name": "land", "b": 0}
    assert judge.decide({"judge_class": 0.7}, {"judge_class": "landbird"}, known) == (False, "group_judge: not scored")
