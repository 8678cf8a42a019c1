"""Reading and writing a recipe's YAML so that nothing is taken for what it doesn't say.

YAML 1.1, which PyYAML reads, takes 1e-3 for text, 012 for ten, 12:30 for 750 and 2020-01-01 for a date, and lets the
last of two equal keys win. Here a number with an exponent is a number, as in YAML 1.2; the other three are the text
that was written; and a key that stands twice is refused. What was written, and where, is kept for messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[Any, ...]
"""Keys and numbers in lists, from the top."""

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)\Z")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)


class RecipeSyntaxError(ValueError):
    """The text is no YAML mapping, or has a key twice."""


@dataclass(frozen=True)
class Scalar:
    """One value as it was written, and on which line; ``line`` is 0 for a value that --set gave."""

    text: str
    line: int


@dataclass
class Given:
    """What a recipe says: its values, lists as tuples, and every scalar as it was written, by its path."""

    data: dict[str, Any]
    scalars: dict[Path, Scalar] = field(default_factory=dict)

    def override(self, path: Path, text: str) -> None:
        """Set the value at ``path``, all but whose last key lead to mappings, to what ``text`` says.

        Raises:
            RecipeSyntaxError: something on the way is no mapping, or the text is no YAML.
        """
        place: Any = self.data
        for key in path[:-1]:
            within = {} if place.get(key) is None else place[key]
            if not isinstance(within, dict):
                raise RecipeSyntaxError(f"{'.'.join(map(str, path[:-1]))} is no mapping")
            place[key] = dict(within)  # an alias elsewhere may be the same mapping, and keeps what it says
            place = place[key]
        value, scalars = _read(text, scalar_alone=True)
        place[path[-1]] = value
        self.scalars = {where: one for where, one in self.scalars.items() if where[: len(path)] != path}
        self.scalars |= {(*path, *below): Scalar(one.text, 0) for below, one in scalars.items()}


def read_recipe_text(text: str | bytes) -> Given:
    """Return what the text of a recipe says.

    Raises:
        RecipeSyntaxError: it is no YAML, not one mapping, or has a key twice; with lines.
    """
    data, scalars = _read(text)
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, tuple) else "nothing" if data is None else f"only {data!r}"
        raise RecipeSyntaxError(f"holds {kind}, expected a mapping with name, source, classes, ...")
    return Given(data, scalars)


def write_recipe_text(said: Mapping[str, Any]) -> str:
    """Return YAML that ``read_recipe_text`` reads as the same values, as other readers do."""
    return yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """SafeLoader with lists as tuples, the numbers of YAML 1.2, and no dates."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes what only YAML 1.2 takes for a number."""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    left_out = {f"{_TAG}{name}" for name in ("int", "float", "timestamp", "value")}
    return {
        first: [pair for pair in pairs if pair[0] not in left_out]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _tuple(loader: _Loader, node: SequenceNode) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node, deep=True))


_Loader.yaml_implicit_resolvers = _resolvers()
_Loader.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))
_Loader.add_constructor(f"{_TAG}seq", _tuple)
_Dumper.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789."))


def _read(text: str | bytes, scalar_alone: bool = False) -> tuple[Any, dict[Path, Scalar]]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            if scalar_alone:
                return None, {}
            raise RecipeSyntaxError("is empty, expected a mapping with name, source, classes, ...")
        twice = list(_twice(node, (), set(), frozenset()))
        if twice:
            raise RecipeSyntaxError("has a key twice, of which only one can hold:\n" + "\n".join(twice))
        return loader.construct_document(node), dict(_scalars(node, (), set()))
    except yaml.YAMLError as error:
        raise RecipeSyntaxError(_sentence(error)) from None
    except RecursionError:
        raise RecipeSyntaxError("is no recipe: lists or mappings lie in each other hundreds deep") from None


def _twice(node: Node, path: Path, seen: set[int], above: frozenset[int]) -> Iterator[str]:
    """Yield a line for every key that stands twice in a mapping; what an anchor names is looked at once."""
    if id(node) in above:
        raise RecipeSyntaxError(f"is no recipe: the anchor at {'.'.join(map(str, path))} holds itself")
    if id(node) in seen or isinstance(node, ScalarNode):
        return
    seen.add(id(node))
    first: dict[tuple[str, str], int] = {}
    for key, value in _children(node):
        place = (*path, _name(key))
        if isinstance(key, ScalarNode):
            earlier, line = first.get((key.tag, key.value)), key.start_mark.line + 1
            if earlier:
                yield f"  {'.'.join(map(str, place))}: on line {earlier} and on line {line}"
            first[key.tag, key.value] = earlier or line
        yield from _twice(value, place, seen, above | {id(node)})


def _scalars(node: Node, path: Path, seen: set[int]) -> Iterator[tuple[Path, Scalar]]:
    if isinstance(node, ScalarNode):
        yield path, Scalar(node.value, node.start_mark.line + 1)
    elif id(node) not in seen:
        seen.add(id(node))
        for key, value in _children(node):
            yield from _scalars(value, (*path, _name(key)), seen)


def _name(key: Any) -> str | int:
    return key if isinstance(key, int) else str(key.value)


def _children(node: Node) -> list[tuple[Any, Node]]:
    """Return a node's parts with their keys: a mapping's key nodes, a list's numbers."""
    return list(node.value if isinstance(node, MappingNode) else enumerate(node.value))


def _sentence(error: yaml.YAMLError) -> str:
    """Return a parser's error in a line: what is wrong and where."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    problem = str(getattr(error, "problem", None) or error)
    if isinstance(error, yaml.reader.ReaderError):
        return f"is no text that can be read: {' '.join(str(error).split())}; save it as UTF-8"
    if "found character '\\t'" in problem:
        return f"is no YAML: {where}a tab; YAML is indented by spaces"
    if "found another document" in problem:
        return f"is no recipe: {where}a second document begins after ---; a recipe is one document"
    if "undefined alias" in problem:
        return f"is no YAML: {where}{problem}, which no &anchor before it defines"
    return f"is no YAML: {where}{' '.join(problem.split())}"
