"""What every recipe has whose samples are planned by (class, bias) group and made in rounds: pictures, or rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fairshards.trainers.core.index import Group


class RoundQuota(Protocol):
    """How much the first round makes, and in what shards."""

    @property
    def surplus(self) -> float:
        """The share made beyond the quota."""

    @property
    def shard_size(self) -> int:
        """Samples a shard."""

    @property
    def curated_shard_size(self) -> int:
        """Samples a curated shard."""

    @property
    def max_rounds(self) -> int:
        """How often what is missing is made."""


class Planned(Protocol):
    """A recipe whose samples are planned by (class, bias) group and made in rounds."""

    @property
    def quota(self) -> RoundQuota:
        """The rounds' settings."""

    @property
    def filters(self) -> Mapping[str, Mapping[str, Any]]:
        """Filters with their settings, in order."""

    @property
    def groups(self) -> list[Group]:
        """The (y, b) pairs, class-major."""

    def group_name(self, y: int, b: int) -> str:
        """Return "<class>|<bias>"."""
