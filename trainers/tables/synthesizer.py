"""Bt-GAN in the style of CTGAN's and SDV's synthesizers: ``fit(table, categories)``, ``sample``, ``save``, ``load``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import pandas as pd

from fairshards.catalogs.cohorts.cohort import frame_of
from fairshards.catalogs.cohorts.rare import join_rare, said
from fairshards.catalogs.cohorts.tables.inferred import cohort_of
from fairshards.catalogs.cohorts.tables.settings import TableSettings, Word
from fairshards.catalogs.cohorts.tables.typed_columns import raw_of_frame
from fairshards.catalogs.cohorts.unquoted import unquoted
from fairshards.generators.tables.bt_gan import BtGan
from fairshards.trainers.core.errors import TrainerError
from fairshards.trainers.tables.bt_gan import fit
from fairshards.trainers.tables.frame_types import column_types, from_json, inner, named, restored, to_json
from fairshards.trainers.tables.settings import BtGanSettings


class BtGanSynthesizer:
    """A Bt-GAN over any DataFrame.

    Args:
        label: A column of two values.
        attribute: The protected attribute S, a category.
        event: The label's value that is the event, e.g. "died"; None: the one whose word says yes, else the rarer.
        settings: Further fields of ``BtGanSettings``, e.g. ``constraint="odds", lam=3.0, seed=1``.

    Example:
        >>> model = BtGanSynthesizer("died", "race", constraint="odds", lam=3.0)
        >>> model.fit(rows, discrete_columns=["ward"])      # doctest: +SKIP
        >>> model.sample(1000)                              # doctest: +SKIP
    """

    def __init__(self, label: str | int, attribute: str | int, *, event: Word | None = None, **settings: Any) -> None:
        self.label, self.event, self.settings = str(label), event, BtGanSettings(str(attribute), **settings)
        self.model: BtGan | None = None

    @unquoted("fitting")
    def fit(
        self,
        data: pd.DataFrame,
        discrete_columns: Sequence[str | int] = (),
        progress: Callable[[int], None] = lambda step: None,
    ) -> BtGanSynthesizer:
        """Train on a table, one person a row; texts are categories, as are categoricals and ``discrete_columns``.

        A warning says what was made missing or joined, since fewer than five people have it; never a value.

        Raises:
            CohortError, TrainerError: a column can't be used; its name is in the message, and no value.
        """
        if not isinstance(data, pd.DataFrame):
            raise TrainerError(f"data is a {type(data).__name__}; expected a pandas DataFrame, one person a row")
        if not len(data):
            raise TrainerError("data has no rows; expected one a person")
        types = column_types(data)
        names = [str(name) for name in data.columns]
        label, attribute, *discrete = (
            inner(str(name), names) for name in (self.label, self.settings.attribute, *discrete_columns)
        )
        discrete += [name for name, one in types.items() if one.order is not None]
        rows = data.set_axis(list(types), axis=1).reset_index(drop=True)
        settings = TableSettings(label, (attribute,), tuple(discrete), event=self.event)
        cohort = cohort_of(raw_of_frame(rows), settings, "table")
        typed = [name for name, one in types.items() if one.typed]
        read = frame_of(cohort.rows, cohort.schema)
        schema, (rows,), joined = join_rare(cohort.schema, attribute, read, typed=typed)
        for sentence in (*cohort.remarks, *([said(joined)] if joined else [])):
            warnings.warn(sentence, stacklevel=3)  # the caller's line, behind ``unquoted``
        self.model = fit(schema, rows, replace(self.settings, attribute=attribute), progress=progress).model
        self.model.types = to_json(named(types, schema))
        return self

    @unquoted("sampling")
    def sample(self, num_rows: int, seed: int = 0) -> pd.DataFrame:
        """Return rows, with the columns' names and types as they were fitted; categories of a run's model are strings.

        Raises:
            TrainerError: it isn't trained, or there can't be so many rows.
        """
        model = self._trained()
        for name, value in (("num_rows", num_rows), ("seed", seed)):
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
                raise TrainerError(f"{name} is {value!r}; expected a whole number, 0 or more")
        try:
            return restored(model.sample(int(num_rows), int(seed)), model.encoding.schema, from_json(model.types))
        except MemoryError:
            pass
        raise TrainerError(f"{num_rows:,} rows don't fit into memory; draw fewer at a time, each part with a seed")

    def save(self, path: Path | str) -> None:
        """Write the model as one safetensors file, which its owner alone can read."""
        self._trained().save(Path(path))

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> BtGanSynthesizer:
        """Return the synthesizer of a file that ``save``, or a run, wrote."""
        model = BtGan.load(Path(path), device)
        schema = model.encoding.schema
        found = cls(schema.label, event=schema[schema.label].categories[-1], **model.settings)
        found.model = model
        return found

    def _trained(self) -> BtGan:
        if self.model is None:
            raise TrainerError("this synthesizer isn't trained: call fit first, or load a model")
        return self.model
