"""FFR against ERM on the worst group: which two rows the headline compares, and the difference seed by seed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from fairshards.pipeline.recipe.pictures import Recipe
from fairshards.pipeline.recipe.training import Training, train_settings
from fairshards.pipeline.report.accuracy import Accuracies, MethodRow, settings_key


@dataclass(frozen=True)
class Pair:
    """FFR's and ERM's final rows of one loss, compared over the ``seeds`` that both have."""

    ffr: MethodRow
    erm: MethodRow

    @property
    def seeds(self) -> list[int]:
        """The seeds of both rows, ascending."""
        return sorted(self.ffr.worst.seeds.keys() & self.erm.worst.seeds.keys())

    @property
    def gains(self) -> list[float]:
        """FFR's worst-group accuracy less ERM's, in [-1, 1], seed by seed."""
        return [self.ffr.worst.seeds[seed] - self.erm.worst.seeds[seed] for seed in self.seeds]

    @property
    def gain(self) -> float:
        """The mean of ``gains``."""
        return fmean(self.gains)

    def mean(self, row: MethodRow) -> float:
        """Return a row's mean worst-group accuracy over the shared seeds."""
        return fmean(row.worst.seeds[seed] for seed in self.seeds)


@dataclass(frozen=True)
class Comparison:
    """The pair of the headline.

    ``of_recipe`` says whether both have the settings of the run's recipe; ``better`` is an ERM row of the same loss
    with other settings and a higher worst group, where there is one.
    """

    pair: Pair
    of_recipe: bool
    better: MethodRow | None


def comparison(found: Accuracies, recipe: Recipe) -> Comparison | None:
    """Return the first pair with the recipe's settings; without one, the pair with the smallest gain, if any."""
    final = [row for row in found.rows if row.stage == "final"]
    pairs = [
        Pair(ffr, erm)
        for ffr in final
        for erm in final
        if (ffr.method, erm.method) == ("ffr", "erm") and ffr.loss == erm.loss and Pair(ffr, erm).seeds
    ]
    if not pairs:
        return None
    known = _settings(recipe.training)
    own = [pair for pair in pairs if {_key(pair.ffr), _key(pair.erm)} <= known]
    pair = own[0] if own else min(pairs, key=lambda pair: pair.gain)
    return Comparison(pair, bool(own), _better(pair.erm, final))


def _better(erm: MethodRow, final: list[MethodRow]) -> MethodRow | None:
    """Return the highest ERM row of the loss, unless it is this one."""
    same = [row for row in final if (row.method, row.loss) == (erm.method, erm.loss)]
    best = max(same, key=lambda row: row.worst.value)
    return best if best.worst.value > erm.worst.value else None


def _key(row: MethodRow) -> tuple[str, str, str]:
    return row.method, row.loss, row.settings


def _settings(training: Training) -> set[tuple[str, str, str]]:
    """Return what a recipe says of ERM and FFR, whether or not it trains both of them now."""
    jobs = train_settings(training.model_copy(update={"methods": ("erm", "ffr")}))
    return {(job.method, job.loss, settings_key(job.identity())) for job in jobs}
