"""What a run shows, as its kind fills it in: the report's sections, the card, the lines after a run, and the plan.

A kind says what stands on each of them; ``page.py``, ``card.py`` and ``cli/`` write and print them, and know no kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.table import Table

from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.report.reader import Reader, Row, curation_settings
from fairshards.pipeline.run.checks import Check
from fairshards.pipeline.run.folder import RunFolder

R = TypeVar("R", bound=RecipeBase)
"""The kind's recipe."""
S = TypeVar("S")
"""What a run of the kind returns (``folder``, ``report``, ``seconds``, and what its own lines tell of)."""
T = TypeVar("T")
Facts = Mapping[str, Any]
"""The names that a template uses, with their values."""
Line = str | Table
"""What a terminal shows: a line of plain text, or a table."""
TEMPLATES = Path(__file__).parent / "templates"


def new_environment(templates: Path, *, escaped: bool) -> Environment:
    """Return an environment of a kind's templates before ours; a name that isn't known is an error."""
    return Environment(
        loader=FileSystemLoader([templates, TEMPLATES]),
        autoescape=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )


@dataclass(frozen=True, eq=False)
class RunView(Generic[R]):
    """A run as its pages read it: the open catalog, the run's folder, and its recipe."""

    reader: Reader
    folder: RunFolder
    recipe: R
    _answers: dict[Callable[..., Any], Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The curation's filters, thresholds, quotas and shortfall; empty without a curation."""
        return curation_settings(self.reader)

    @cached_property
    def balance(self) -> list[Row]:
        """How many real, generated, passed and kept samples each group has."""
        return self.reader.rows("balance")

    @property
    def groups(self) -> list[str]:
        """The groups' names, in order."""
        return [row["group_name"] for row in self.balance]

    @property
    def filters(self) -> list[str]:
        """The names of the curation's filters, without one those of the recipe."""
        names: Any = self.settings.get("filters") or getattr(self.recipe, "filters", ())
        return list(names)

    def once(self, question: Callable[[RunView[R]], T]) -> T:
        """Return what a function of the view returns, which is called for the first section that asks alone."""
        if question not in self._answers:
            self._answers[question] = question(self)
        return self._answers[question]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Section(Generic[R]):
    """One section of the report.

    Attributes:
        id: Its anchor on the page.
        title: What the list of sections calls it; "" where that leaves it out.
        template: The file below ``templates/`` that shows it.
        facts: Returns what the template shows; None where there is nothing to say, and the section is left out.
    """

    id: str
    title: str
    template: str
    facts: Callable[[RunView[R]], Facts | None]


@dataclass(frozen=True)
class Card(Generic[R]):
    """The dataset card: README.md for people, croissant.json for dataset search.

    Attributes:
        template: The file below ``templates/`` that shows README.md.
        suffix: How the names of the curated shards that it describes end.
        description: Returns the dataset in a sentence.
        tasks, tags: As the Hugging Face hub knows them.
        configs: Returns the hub's configurations: which shards are which split.
        facts: Returns what the template shows beside that.
        inside: Returns what Croissant says beyond the shards: further distributions, then the record sets.
    """

    template: str
    suffix: str
    description: Callable[[RunView[R]], str]
    tasks: Sequence[str]
    tags: Sequence[str]
    configs: Callable[[RunView[R], Sequence[Row]], list[dict[str, Any]]]
    facts: Callable[[RunView[R], Sequence[Row]], Facts]
    inside: Callable[[RunView[R], Sequence[Row]], tuple[list[dict[str, Any]], list[dict[str, Any]]]]


@dataclass(frozen=True)
class Pages(Generic[R, S]):
    """All that a run of one kind shows.

    Attributes:
        headline: The run in a sentence and a few numbers, above the sections: a section without an anchor.
        sections: The report's sections in order.
        footer: The report's last sentence, which says what the page was made from.
        card: The card of the curated dataset.
        summary: Yields what a person reads on the terminal after a run.
        question: Returns the named query that the last line of that proposes.
        plan: (recipe, run folder): yields what would be made, and the checks before a run as one list, also where it
            raises after them.
        mode: The permissions of the files that are written, less the umask.
        templates: The folder of the templates that ours lack.
    """

    headline: Section[R]
    sections: Sequence[Section[R]]
    footer: str
    card: Card[R]
    summary: Callable[[R, S], Iterator[Line]]
    question: Callable[[S], str]
    plan: Callable[[R, Path], Iterator[Line | list[Check]]]
    mode: int = 0o666
    templates: Path = TEMPLATES
