"""Bt-GAN in the style of CTGAN's and SDV's synthesizers: ``fit(table, categories)``, ``sample``, ``save``, ``load``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from catalogs.cohorts.inferred import as_text, infer_schema
from generators.ehr import BtGan
from trainers.bt_gan import fit
from trainers.bt_gan_settings import BtGanSettings
from trainers.errors import TrainerError


class BtGanSynthesizer:
    """A Bt-GAN over any DataFrame.

    Args:
        label: A column of two values.
        attribute: The protected attribute S, a category.
        settings: Further fields of ``BtGanSettings``, e.g. ``constraint="odds", lam=3.0, seed=1``.

    Example:
        >>> model = BtGanSynthesizer("died", "race", constraint="odds", lam=3.0)
        >>> model.fit(rows, discrete_columns=["ward"])      # doctest: +SKIP
        >>> model.sample(1000)                              # doctest: +SKIP
    """

    def __init__(self, label: str, attribute: str, **settings: Any) -> None:
        self.label, self.settings = label, BtGanSettings(attribute, **settings)
        self.model: BtGan | None = None

    def fit(
        self, data: pd.DataFrame, discrete_columns: Sequence[str] = (),
        progress: Callable[[int], None] = lambda step: None,
    ) -> BtGanSynthesizer:
        """Train on a table, one person a row; text columns are categories, as are ``discrete_columns`` of numbers."""
        schema = infer_schema(data, self.label, [self.settings.attribute], discrete_columns)
        self.model = fit(schema, as_text(data, schema), self.settings, progress=progress).model
        return self

    def sample(self, num_rows: int, seed: int = 0) -> pd.DataFrame:
        """Return rows; categories are strings."""
        return self._trained().sample(num_rows, seed)

    def save(self, path: Path | str) -> None:
        """Write the model as one safetensors file."""
        self._trained().save(Path(path))

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> BtGanSynthesizer:
        """Return the synthesizer of a file that ``save``, or a run, wrote."""
        model = BtGan.load(Path(path), device)
        found = cls(model.encoding.schema.label, **model.settings)
        found.model = model
        return found

    def _trained(self) -> BtGan:
        if self.model is None:
            raise TrainerError("this synthesizer isn't trained: call fit first, or load a model")
        return self.model
