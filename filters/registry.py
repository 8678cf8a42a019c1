"""The filters by their key in a recipe, and what they declare of their scores and reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fairshards.filters.base import Filter
from fairshards.filters.declared import ScoreTitle
from fairshards.filters.scorers.base import Scorer
from fairshards.nearest import nearest
from fairshards.plugins import Family, PluginError, identity, path_of

_BASE, _ATTRIBUTES = "fairshards.filters.base.Filter", ("name", "scores")
_PICTURES, _RECORDS = "fairshards.filters.pictures", "fairshards.filters.records"

PICTURE_FILTERS = Family[Filter](
    "picture_filters",
    _BASE,
    {
        "clip_alignment": f"{_PICTURES}.clip_alignment.ClipAlignment",
        "group_judge": f"{_PICTURES}.group_judge.GroupJudge",
        "spurious_absence": f"{_PICTURES}.spurious_absence.SpuriousAbsence",
        "shortcut_left": f"{_PICTURES}.shortcut_left.ShortcutLeft",
        "edit_misplaced": f"{_PICTURES}.edit_misplaced.EditMisplaced",
        "variance": f"{_PICTURES}.trajectory_variance.TrajectoryVarianceLimit",
        "grey_scale": f"{_PICTURES}.grey_scale.GreyScale",
        "silhouette": f"{_PICTURES}.silhouette.Silhouette",
        "near_duplicates": f"{_PICTURES}.near_duplicates.NearDuplicates",
    },
    _ATTRIBUTES,
)
"""Of pictures. The order is the one in which reports show their scores."""

ROW_FILTERS = Family[Filter](
    "row_filters",
    _BASE,
    {
        "valid_row": f"{_RECORDS}.valid_row.ValidRow",
        "discriminator_score": f"{_RECORDS}.discriminator.DiscriminatorScore",
        "discriminator_rejection": f"{_RECORDS}.discriminator.DiscriminatorRejection",
        "nearest_record": f"{_RECORDS}.nearest_record.NearestRecord",
        "distance_ratio": f"{_RECORDS}.distance_ratio.DistanceRatio",
    },
    _ATTRIBUTES,
)
"""Of rows of health records."""


def filter_class(name: str) -> type[Filter]:
    """Return the filter of a recipe's key, of either kind: ``filter_class("clip_alignment")(min=0.2)``.

    Raises:
        PluginError: there is none.
    """
    return (ROW_FILTERS if name in ROW_FILTERS.names else PICTURE_FILTERS)[name]


def known_filter(name: str) -> type[Filter] | None:
    """Return the filter of a recipe's key; None where it can't be had here any more, e.g. for an old run's report."""
    try:
        return filter_class(name)
    except PluginError:
        return None


def version_of(kind: type[Filter]) -> list[str]:
    """Return what a curation's identity has of a filter beside its settings: its version, and its path if not ours."""
    return [kind.version, *([path_of(kind)] if identity(kind) else [])]


def scorers_of(filters: Mapping[str, Mapping[str, Any]]) -> tuple[Scorer, ...]:
    """Return the scorers that a recipe's filters bring along, each once."""
    brought = [filter_class(name)(**settings).scorer() for name, settings in filters.items()]
    return tuple(dict.fromkeys(scorer for scorer in brought if scorer))


def unscored(name: str, chosen: Filter, family: Family[Filter]) -> Iterator[str]:
    """Yield what is wrong where a filter decides over a score that nobody takes."""
    scorer = chosen.scorer()
    taken = {score for own in family.built_in for score in family[own].scores} | set(scorer.scores if scorer else ())
    for score in chosen.scores:
        if score not in taken:
            yield (
                f"filters.{name} decides over the score {score!r}, which nobody takes{nearest(score, sorted(taken))}; "
                "return what takes it from the filter's scorer()"
            )


def score_titles(names: Iterable[str] = ()) -> dict[str, ScoreTitle]:
    """Return how scores are shown, by name: those of all filters of ours, then of others that a recipe ``names``."""
    return {score: title for kind in _declaring(names) for score, title in kind.titles.items()}


def reason_sentences(names: Iterable[str] = ()) -> dict[str, str]:
    """Return what each reason code means, of all filters of ours and of others that a recipe ``names``."""
    return {code: sentence for kind in _declaring(names) for code, sentence in kind.reasons.items()}


def _declaring(names: Iterable[str]) -> Iterator[type[Filter]]:
    ours = (*PICTURE_FILTERS.built_in, *ROW_FILTERS.built_in)
    yield from (kind for name in dict.fromkeys((*ours, *names)) if (kind := known_filter(name)))
