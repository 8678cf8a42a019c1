"""Draw rows of health records from a trained Bt-GAN, a Parquet shard a task."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fairshards.catalogs.cohorts.cohort import own_column
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.filters.records.discriminator import RATIO
from fairshards.generators.tables.bt_gan import BtGan, row_seeds
from fairshards.transforms.records.shard import place, row_digests, row_shard
from fairshards.transforms.records.specs import RowSpec
from fairshards.transforms.shards import storage
from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask
from fairshards.transforms.shards.tars import sha256
from fairshards.transforms.stage import LazyModels, ModelStage, use_threads


class LazyRows(LazyModels[RowSpec]):
    """Holds the Bt-GAN."""

    @cached_property
    def model(self) -> BtGan:
        """The loaded model."""
        use_threads(self.spec.threads)
        return BtGan.load_bytes(storage.read(self.spec.model), self.spec.device)


@unquoted("drawing rows")
def _draw(todo: OpenTask, models: LazyRows) -> Made:
    """Draw the rows of one task."""
    y, s = (np.array([row[name] for row in todo.rows], dtype=np.int64) for name in ("y", "b"))
    drawn = models.model.draw(y, s, row_seeds([row["noise_seed"] for row in todo.rows]))
    rows, schema = drawn.rows, models.model.encoding.schema
    ids = [row["sample_id"] for row in todo.rows]
    data = row_shard(ids, rows.assign(**{own_column(schema, RATIO): drawn.ratios.astype(np.float64)}), schema)
    shard = todo.publish(data, len(ids), name=f"{todo.task.stem}-{sha256(data)[:12]}.rows.parquet")
    checksums = row_digests(rows, schema)
    made = [
        {"sample_id": name, **place(shard.name, number), "image_sha256": checksum, "status": "ok"}
        for number, (name, checksum) in enumerate(zip(ids, checksums, strict=True))
    ]
    return Made(made, shard, attempt={"samples": len(ids), "device": models.spec.device})


class SampleRows(ModelStage[RowSpec]):
    """PCollection[ShardTask] -> PCollection[TaskRecord]; commits one raw shard a task."""

    stage, folder, models = "generate", "raw", LazyRows
    title = "Sample rows"
    work = staticmethod(_draw)
