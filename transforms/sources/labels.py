"""How a dataset's class and bias labels are looked up: by name, by the recipe's spellings, or by number."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from fairshards.catalogs.manifests.identity import UNKNOWN

MOST_DIGITS = 9
SHOWN = 8


class LabelError(ValueError):
    """The dataset's labels are numbers, and which number is which value can't be told."""


def plain_label(label: str) -> str:
    """Return a label as it is looked up: without spaces around it, and "1.0" or "1.000e+00" as the integer 1.

    Tables that had a gap in a column of integers write them as floats, and numpy.savetxt writes all numbers so.
    """
    text = unicodedata.normalize("NFC", label).strip()
    whole = re.fullmatch(r"([+-]?[0-9]+)\.0*", text)
    if whole:
        return whole[1]
    if re.fullmatch(r"[+-]?[0-9]\.[0-9]+[eE][+-]?[0-9]{2}", text):
        number = float(text)
        return str(int(number)) if number.is_integer() and abs(number) < 10**MOST_DIGITS else text
    return text


@dataclass(frozen=True)
class Labels:
    """The names of one label's values, and what a dataset may write for each of them.

    Without spellings a label that is no name is taken for a number, counted from 0, where ``indices`` says that numbers
    can mean nothing else in this dataset (``decided``).
    """

    names: tuple[str, ...]
    spellings: tuple[tuple[str, ...], ...] = ()
    indices: bool = True

    def number(self, label: str) -> int | None:
        """Return the value's number, or None for a label that isn't known."""
        named = self.named(label)
        if named is None and self.indices and not self.spellings:
            return self._index(label)
        return named

    def named(self, label: str) -> int | None:
        """Return the number of the value that has this name or spelling, or None."""
        exact, plain = self._known
        return exact[label] if label in exact else plain.get(plain_label(label))

    @functools.cached_property
    def _known(self) -> tuple[dict[str, int], dict[str, int | None]]:
        """The number by each name and spelling, as the recipe writes it and as labels are looked up.

        None is the number of what two values go by when it is written plainly.
        """
        said = [(name, number) for number, name in enumerate(self.names)]
        said += [(text, number) for number, known in enumerate(self.spellings) for text in known]
        exact, plain = dict[str, int](), dict[str, int | None]()
        for text, number in said:
            exact.setdefault(text, number)
            same = plain.get(plain_label(text), number) == number
            plain[plain_label(text)] = number if same else None
        return exact, plain

    def unknown(self, label: str) -> str:
        """Return what a message says of a label that isn't known."""
        detail = f"{label!r}; the recipe knows {list(self.names)}"
        if self._index(label) is None or self.indices:
            return detail
        return (
            f"{detail}. This number isn't taken for the place of one of them, since a name is a number, or the "
            "data holds names or further numbers beside it; say with `labels` what the dataset writes for each"
        )

    def decided(self, seen: Iterable[str], what: str) -> Labels:
        """Return the labels with ``indices`` false where numbers in the data may mean something else.

        That is so where a name is itself a number, where names and numbers stand side by side, and where there are
        numbers beyond the values: then no number is an index anywhere in the dataset.

        Raises:
            LabelError: all labels are numbers and some lie beyond the values, so that each would be a guess.
        """
        unnamed = [label for label in seen if self.named(label) is None]
        if self.spellings or not any(self._index(label) is not None for label in unnamed):
            return self
        named = {label for label in seen if self.named(label) is not None}
        beyond = [label for label in unnamed if self._index(label) is None and is_number(label)]
        if beyond and not named and not any(is_number(name) for name in self.names):
            example = f"[{{name: {self.names[0]}, labels: [{plain_label(_by_size(unnamed)[0])!r}]}}, ...]"
            raise LabelError(
                f"the dataset's {what} are the numbers {shown(_by_size(unnamed))}, but {len(self.names)} values "
                f"counted from 0 are 0 to {len(self.names) - 1}: which is which can't be told. Say what the dataset "
                f"writes for each value, e.g. {'classes' if what.startswith('class') else 'bias.values'}: {example}"
            )
        unsure = bool(beyond or named) or any(is_number(name) for name in self.names)
        return replace(self, indices=False) if unsure else self

    def _index(self, label: str) -> int | None:
        text = plain_label(label)
        plain = text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
        return int(text) if plain and int(text) < len(self.names) else None


@dataclass(frozen=True)
class GroupLabels:
    """How classes and bias values are looked up, and the (y, b) pairs that exist; no pairs: all of them.

    Without ``bias`` no bias label is looked at: b is -1, its name "unknown".
    """

    classes: Labels
    bias: Labels | None
    pairs: tuple[tuple[int, int], ...] = ()

    def facts(self, y: int, b: int) -> dict[str, Any]:
        """Return a group's columns."""
        names = self.classes.names[y], self.bias.names[b] if self.bias else UNKNOWN
        return {"y": y, "class_name": names[0], "b": b, "bias_name": names[1], "group_name": "|".join(names)}

    def decided(self, classes: Collection[str], bias: Collection[str]) -> GroupLabels:
        """Return these with ``indices`` decided for a dataset that holds the labels ``classes`` and ``bias``.

        Raises:
            LabelError: as ``Labels.decided``.
        """
        known = self.bias and self.bias.decided(bias, "bias labels")
        return replace(self, classes=self.classes.decided(classes, "class labels"), bias=known)

    def identity(self) -> dict[str, Any]:
        """Return what decides how labels are read, for a task's hash."""
        said = asdict(self)
        for labels in (said["classes"], said["bias"]):
            if labels and labels["indices"]:
                del labels["indices"]  # as it was before there was a choice
        return said


def is_number(label: str) -> bool:
    """Tell whether a label is written as a finite number."""
    try:
        return math.isfinite(float(label.strip()))
    except ValueError:
        return False


def shown(labels: Collection[str]) -> str:
    """Return the first few labels, for a message."""
    given = list(labels)
    more = f" and {len(given) - SHOWN} more" if len(given) > SHOWN else ""
    return ", ".join(label if len(label) <= 40 else f"{label[:40]}..." for label in given[:SHOWN]) + more


def _by_size(labels: Iterable[str]) -> list[str]:
    given = set(labels)
    return sorted(filter(is_number, given), key=lambda one: (float(one), one)) + sorted(
        one for one in given if not is_number(one)
    )


def unplain(*labels: str | None) -> bool:
    """Tell whether one of these labels isn't looked up as it stands (``plain_label``)."""
    return any(label is not None and plain_label(label) != label for label in labels)
