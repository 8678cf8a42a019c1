"""The filters by their key in a recipe."""

from __future__ import annotations

from filters.base import Filter
from filters.clip_alignment import ClipAlignment
from filters.discriminator import DiscriminatorRejection, DiscriminatorScore
from filters.distance_ratio import DistanceRatio
from filters.edit_misplaced import EditMisplaced
from filters.grey_scale import GreyScale
from filters.group_judge import GroupJudge
from filters.near_duplicates import NearDuplicates
from filters.nearest_record import NearestRecord
from filters.shortcut_left import ShortcutLeft
from filters.silhouette import Silhouette
from filters.spurious_absence import SpuriousAbsence
from filters.trajectory_variance import TrajectoryVarianceLimit
from filters.valid_row import ValidRow

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
