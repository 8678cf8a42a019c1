"""The filters by their key in a recipe."""

from __future__ import annotations

from fairshards.filters.base import Filter
from fairshards.filters.pictures.clip_alignment import ClipAlignment
from fairshards.filters.pictures.edit_misplaced import EditMisplaced
from fairshards.filters.pictures.grey_scale import GreyScale
from fairshards.filters.pictures.group_judge import GroupJudge
from fairshards.filters.pictures.near_duplicates import NearDuplicates
from fairshards.filters.pictures.shortcut_left import ShortcutLeft
from fairshards.filters.pictures.silhouette import Silhouette
from fairshards.filters.pictures.spurious_absence import SpuriousAbsence
from fairshards.filters.pictures.trajectory_variance import TrajectoryVarianceLimit
from fairshards.filters.records.discriminator import DiscriminatorRejection, DiscriminatorScore
from fairshards.filters.records.distance_ratio import DistanceRatio
from fairshards.filters.records.nearest_record import NearestRecord
from fairshards.filters.records.valid_row import ValidRow

PICTURE_FILTERS: dict[str, type[Filter]] = {
    kind.name: kind
    for kind in (
        ClipAlignment,
        GroupJudge,
        SpuriousAbsence,
        ShortcutLeft,
        EditMisplaced,
        TrajectoryVarianceLimit,
        GreyScale,
        Silhouette,
        NearDuplicates,
    )
}
"""Of pictures, by their key in a recipe."""

ROW_FILTERS: dict[str, type[Filter]] = {
    kind.name: kind for kind in (ValidRow, DiscriminatorScore, DiscriminatorRejection, NearestRecord, DistanceRatio)
}
"""Of rows of health records, by their key in a recipe."""

FILTERS: dict[str, type[Filter]] = {**PICTURE_FILTERS, **ROW_FILTERS}
"""Recipe key to class: ``FILTERS["clip_alignment"](min=0.2)``."""
