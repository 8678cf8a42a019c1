"""Families of classes that a recipe names: those that ship, those of installed packages, and any by dotted path.

A recipe says ``variance`` (ours), ``blur`` (an entry point of group ``fairshards.picture_filters``), or
``my_package.filters.Blur``. Nothing is imported before it is named, and workers import a class by the same path.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from fairshards.nearest import nearest

T = TypeVar("T")
OURS = "fairshards."


class PluginError(ValueError):
    """A name that stands for no class, or for one that can't do what is asked of it."""


@dataclass(frozen=True, eq=False)
class Family(Generic[T]):
    """The classes of one kind by the names that a recipe may say: ``family["variance"]`` imports and returns one.

    Attributes:
        name: What it holds, e.g. "picture_filters"; entry points are of the group ``fairshards.<name>``.
        base: What each of them is derived from, by dotted path; its abstract methods are what each must have.
        built_in: Ours: from a name to a dotted path.
        attributes: Class attributes that each must set.
        beside: Names that a recipe may say in their place, which are no class of the family.
    """

    name: str
    base: str
    built_in: Mapping[str, str]
    attributes: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @cached_property
    def installed(self) -> dict[str, EntryPoint]:
        """The entry points of other packages by name; none may take a name of ours."""
        return {one.name: one for one in entry_points(group=f"fairshards.{self.name}") if one.name not in self.built_in}

    @property
    def names(self) -> list[str]:
        """The names that are known: ours, then those of installed packages."""
        return [*self.built_in, *sorted(self.installed)]

    def __contains__(self, name: object) -> bool:
        """Tell whether a name stands for a class that can be had here."""
        try:
            return isinstance(name, str) and bool(self[name])
        except PluginError:
            return False

    def __getitem__(self, name: str) -> type[T]:
        """Return the class of a name.

        Raises:
            PluginError: nothing of this name can be imported, or it lacks what the family asks for.
        """
        if name in self.built_in:
            return cast("type[T]", imported(self.built_in[name]))
        if name not in self.installed and "." not in name:
            raise PluginError(f"{name!r}{nearest(name, [*self.beside, *self.names])}; or a class by its dotted path")
        chosen = imported(self.installed[name].value.replace(":", ".") if name in self.installed else name)
        if problem := self.problem(chosen):
            raise PluginError(f"{name!r} {problem}")
        return cast("type[T]", chosen)

    def problem(self, chosen: Any) -> str | None:
        """Return what somebody's class lacks to be one of this family; None where nothing does."""
        base = imported(self.base)
        if not isinstance(chosen, type) or not issubclass(chosen, base):
            return f"is no class derived from {self.base}"
        missing = [*sorted(getattr(chosen, "__abstractmethods__", ()))]
        missing += [name for name in self.attributes if not hasattr(chosen, name)]
        if missing:
            return f"lacks {', '.join(missing)}, which {self.base} asks for"
        if not (is_dataclass(chosen) and "__dataclass_fields__" in vars(chosen)):
            return "has settings that nobody can give: put @dataclass(frozen=True) above the class"
        return None


def imported(path: str) -> Any:
    """Return what a dotted path such as ``my_package.filters.Blur`` names.

    Raises:
        PluginError: the module can't be imported, or has nothing of that name.
    """
    module, _, attribute = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"{path!r} can't be imported: there is no module {error.name!r} here; install its package, or put its "
            "folder on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise PluginError(f"{path!r} can't be imported: {error}") from error
    except Exception as error:  # whatever somebody's module does while it is imported
        raise PluginError(f"{path!r} can't be imported: {type(error).__name__}: {error}") from error


def path_of(kind: type[Any]) -> str:
    """Return the dotted path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def identity(kind: type[Any]) -> dict[str, str]:
    """Return what a class of somebody else's adds to the hashes of what it makes: its path and its ``version``.

    Ours add nothing here: each has a version where its results are hashed.
    """
    if kind.__module__.startswith(OURS):
        return {}
    return {"class": path_of(kind), "version": str(getattr(kind, "version", "1"))}
