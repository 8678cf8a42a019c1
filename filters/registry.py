"""The filters by their key in a recipe."""

from __future__ import annotations

from filters.base import Filter
from filters.clip_alignment import ClipAlignment
from filters.edit_misplaced import EditMisplaced
from filters.grey_scale import GreyScale
from filters.group_judge import GroupJudge
from filters.near_duplicates import NearDuplicates
from filters.shortcut_left import ShortcutLeft
from filters.silhouette import Silhouette
from filters.spurious_absence import SpuriousAbsence
from filters.trajectory_variance import TrajectoryVarianceLimit

FILTERS: dict[str, type[Filter]] = {
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
"""Recipe key to class: ``FILTERS["clip_alignment"](min=0.2)``."""
