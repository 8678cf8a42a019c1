"""The public API: make a run or open one, ask it, and train on what it kept. ``import fairshards as fs``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairshards.pipeline.kinds import kind_of, load_recipe
from fairshards.pipeline.recipe.base import RecipeBase, RecipeError
from fairshards.pipeline.run.folder import RunFolder, RunFolderError
from fairshards.pipeline.run.folder import open_run as open_folder
from fairshards.pipeline.run.stages import STAGES

if TYPE_CHECKING:
    import pandas as pd
    from torch.utils.data import Dataset

    from fairshards.catalogs.questions.explain import LifeStory
    from fairshards.trainers.core.index import Sample

Row = dict[str, Any]


def run(
    recipe: str | Path,
    *,
    set: Mapping[str, Any] | Sequence[str] = (),  # as --set is called
    until: str = "report",
    output: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Run:
    """Follow a recipe up to a stage, as ``fairshards run`` does on this machine; the same call resumes a killed run.

    Args:
        recipe: A YAML file, or the name of a recipe that ships with fairshards.
        set: Changes of the recipe: {"quota.per_group": 50}, or ["quota.per_group=50"] as the command takes them.
        until: The last stage: "source", "discover", "generate", "curate", "train" or "report".
        output: The run folder; by default the recipe's output folder and name, below the working folder.
        workers: Local worker processes; by default the recipe's.
        quiet: Print no progress.

    Raises:
        RecipeError: the recipe can't be read or followed; the message says all that is wrong, and how to mend it.
    """
    if until not in STAGES:
        raise RecipeError(f"until {until!r}: expected one of {', '.join(STAGES)}")
    from fairshards.pipeline import driver
    from fairshards.pipeline.run.jobs import Launcher
    from fairshards.pipeline.run.progress import Reporter

    chosen = load_recipe(str(recipe), overrides(set))
    runner = chosen.runner
    launcher = Launcher(runner.name, workers or runner.workers, torch_threads=runner.threads)
    root = Path(output) if output is not None else None
    return Run(driver.run(chosen, launcher, Reporter(quiet=quiet), until, root).folder)


def open_run(path: str | Path) -> Run:
    """Open an existing run by its folder, or by its name below ./runs.

    Raises:
        RunFolderError: there is no run; those that are here are named.
    """
    return Run(open_folder(str(path)))


def overrides(changes: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Return changes of a recipe as ``--set`` takes them; values are written as JSON, which is YAML."""
    import json

    if isinstance(changes, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    return list(changes)


class Run:
    """A run folder that can be asked.

    Attributes:
        root: Where it lies.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder, self.root = folder, folder.root

    def __repr__(self) -> str:
        return f"Run({str(self.root)!r})"

    @property
    def recipe(self) -> RecipeBase:
        """The recipe that was followed, with every default filled in."""
        return load_recipe(str(self.root / "recipe.yaml"))

    def query(self, sql: str, **params: Any) -> list[Row]:
        """Return the rows that answer SQL over the catalog, or a named query with its parameters.

        Raises:
            QueryError: no such query, wrong SQL, or SQL that would write.
        """
        from fairshards.catalogs.questions.query import run_query

        columns, rows = run_query(self.root, sql, params or None)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def balance(self) -> list[Row]:
        """Return how many real, generated, accepted and kept samples each group has: the query "balance"."""
        return self.query("balance")

    def samples(self, **params: Any) -> list[Row]:
        """Return samples with their scores and what became of them: the query "samples", e.g. ``limit=5``."""
        return self.query("samples", **params)

    def explain(self, sample: str) -> LifeStory:
        """Return the life story of the sample or source picture whose id begins so.

        Raises:
            SampleError: no id begins so, or more than one does.
        """
        from fairshards.catalogs.questions.explain import life_story

        return life_story(self.root, sample)

    def report(self) -> Path:
        """Write report.html again and return its path."""
        from fairshards.pipeline.report.page import write_report

        recipe = self.recipe
        return write_report(self._folder, recipe, kind_of(recipe).pages)

    def index(self, split: str) -> Path:
        """Return the index manifest that lists a split: the source's, or that of the newest curation.

        Raises:
            RunFolderError: no current index lists the split; those that there are are named.
        """
        return self._split(split)[0]

    def shards(self, split: str) -> list[Path]:
        """Return the shards that hold a split, e.g. for ``webdataset.WebDataset``, sorted.

        Raises:
            RunFolderError: there is no such split.
        """
        return sorted({sample.shard for sample in self._split(split)[1]})

    def dataset(self, split: str = "balanced", transform: Callable[[Any], Any] | None = None) -> Dataset[Any]:
        """Return a split of pictures as a torch dataset of (picture, y, b), read by offset from its shards.

        Args:
            split: "balanced", "extra", "train", "val" or "test".
            transform: Gets an RGB ``PIL.Image``; its result is the item's picture. None: the image itself.

        ``y`` is the class's number, ``b`` that of the bias value (-1 where it is unknown).

        Raises:
            RunFolderError: there is no such split.
        """
        from fairshards.trainers.core.dataset import ShardDataset

        return ShardDataset(self._split(split)[1], transform)

    def frame(self, split: str = "synthetic") -> pd.DataFrame:
        """Return a split of a run over records: the columns of the cohort, one row a synthetic record.

        Raises:
            RunFolderError: there is no such split, or its shards hold pictures.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        shards = self.shards(split)
        if any(shard.suffix != ".parquet" for shard in shards):
            raise RunFolderError(f"the split {split!r} of {self.root} holds pictures; use dataset({split!r})")
        return pa.concat_tables([pq.read_table(shard) for shard in shards]).to_pandas()

    def _split(self, split: str) -> tuple[Path, tuple[Sample, ...]]:
        """Return the index manifest that lists a split, and the split's samples."""
        from fairshards.catalogs.manifests.places import SOURCE
        from fairshards.trainers.core.index import read_index

        known: list[str] = []
        for name in self._folder.current():
            if Path(name).name.startswith("index"):
                index = read_index(self.root / name, g=0 if name.startswith(SOURCE) else 1)
                if samples := tuple(sample for sample in index.samples if sample.split == split):
                    return index.path, samples
                known += sorted({sample.split for sample in index.samples})
        raise RunFolderError(
            f"{self.root} has no split {split!r}; it has: {', '.join(dict.fromkeys(known)) or 'none yet'}"
        )
