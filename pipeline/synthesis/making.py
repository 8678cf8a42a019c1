"""What rounds of synthesis need to know of what is made, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fairshards.pipeline.run.planned import Planned
from fairshards.pipeline.run.quota import Group, Quota
from fairshards.pipeline.synthesis.pool import Pool, Row
from fairshards.transforms.pictures.specs import Staged

if TYPE_CHECKING:
    from fairshards.pipeline.synthesis.curate import Curated


@dataclass(frozen=True)
class Making:
    """How a recipe's samples are planned, made, scored and written.

    Attributes:
        recipe: Its groups, quota and filters.
        generator, scorer: The specs of the two stages.
        shard_rows: (group, shard number, round) to the shard's plan rows.
        steps: The transforms of the two stages.
        writer: The transform that copies the kept samples into curated shards.
        quotas: What every group must have.
        split: The one split that all kept samples are of; None: what the quota says.
        compare: Adds the scores that compare a sample with others to the pool.
        begin: The pool at the beginning: what filters are calibrated on, and samples that nothing has to be made for.
        audit: What is measured of a curation's kept samples: its manifests with their content hashes.
    """

    recipe: Planned
    generator: Staged
    scorer: Staged
    shard_rows: Callable[[Group, int, int], list[Row]]
    steps: Sequence[Any]
    writer: Any
    quotas: Mapping[Group, Quota] = field(default_factory=dict)
    split: str | None = None
    compare: Callable[[Pool], None] = lambda pool: None
    begin: Pool = field(default_factory=Pool)
    audit: Callable[[Curated], Mapping[str, str]] = lambda curated: {}
