"""What every part of a recipe is: frozen, without unknown keys, and with values of the types that are declared.

Settings that a recipe hands on (``training.settings``, ``filters.*``, ...) are fields of dataclasses elsewhere; their
annotations say what each may be, and ``check_fields`` holds the recipe to them.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fairshards.nearest import nearest


class Strict(BaseModel):
    """A part of the recipe; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def check_fields(
    kind: type[Any], options: Mapping[str, Any], where: str, without: Iterable[str] = (), *, complete: bool = False
) -> None:
    """Raise ValueError with the lines of ``field_problems``, where there are any.

    ``complete``: a field without a default that isn't there is a problem too.
    """
    problems = list(field_problems(kind, options, where, without))
    if complete and (missing := sorted(_needed(kind) - set(options))):
        problems.append(f"{where} lacks {', '.join(missing)}, which {kind.__name__} needs")
    if problems:
        raise ValueError("\n".join(problems))


def field_problems(
    kind: type[Any], options: Mapping[str, Any], where: str, without: Iterable[str] = ()
) -> Iterator[str]:
    """Yield a line with its path for every setting that a dataclass has no field for, or of another type, and what
    the dataclass itself refuses.

    ``without`` are fields that the recipe says elsewhere. A field that is a dataclass itself takes a mapping.
    """
    hints = get_type_hints(kind)
    names = sorted({field.name for field in fields(kind)} - set(without))
    sound: dict[str, Any] = {}
    for name, value in options.items():
        if name not in names:
            yield f"{where} has an unknown key {name!r}{nearest(str(name), names)}"
        elif is_dataclass(hints[name]):
            own = [f"{where}.{name} is {value!r}; it must be a mapping such as {{lr: 0.001}}"]
            if isinstance(value, Mapping):
                own = list(field_problems(hints[name], value, f"{where}.{name}"))
            yield from own
            if own:
                continue
            sound[name] = hints[name](**value)
        elif problem := type_problem(hints[name], value):
            yield f"{where}.{name}: {problem}"
        else:
            sound[name] = value
    yield from _refused(kind, sound, where)


def _refused(kind: type[Any], sound: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what the dataclass itself refuses; nothing where the recipe says a field of it elsewhere."""
    if _needed(kind) - set(sound):
        return
    try:
        kind(**sound)
    except (TypeError, ValueError) as error:
        yield f"{where}: {error}"


def _needed(kind: type[Any]) -> set[str]:
    """Return the names of a dataclass's fields that have no default."""
    return {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}


def type_problem(annotation: Any, value: Any) -> str | None:
    """Return what is wrong with a value where ``annotation`` says what it may be; None where nothing is."""
    try:
        TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        return "; ".join(dict.fromkeys(explain(one["type"], one["msg"], one["input"]) for one in error.errors()))
    return None


def template_problem(template: str, known: Iterable[str]) -> str | None:
    """Return what is wrong with the fields of a template; None where it can be filled with ``known``."""
    names = list(known)
    said = f"known are {' and '.join(f'{{{name}}}' for name in names)}; a brace that is meant is written twice: {{{{"
    try:
        parts = [part for part in string.Formatter().parse(template) if part[1] is not None]
        asked = [str(field) for _, field, _, _ in parts]
        if shaped := [spec for _, _, spec, _ in parts if spec]:
            return f"template {template!r} asks for a width or form, {shaped[0]!r}; write the name alone; {said}"
        if unknown := [field for field in asked if field not in names]:
            return f"template {template!r} has a field {', '.join(map(repr, unknown))}; {said}"
        template.format(**dict.fromkeys(names, ""))
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        return f"template {template!r} can't be filled: {error}; {said}"
    return None if template.strip() else f"template {template!r} is empty"


def check_templates(templates: Iterable[str], known: Iterable[str]) -> None:
    """Raise ValueError for templates that can't be filled, a line for each."""
    names = tuple(known)
    if problems := [problem for one in templates if (problem := template_problem(one, names))]:
        raise ValueError("\n".join(problems))


def explain(kind: str, message: str, value: Any, written: str | None = None) -> str:
    """Return what pydantic says of a value in a recipe's words, and how to write it; ``written`` is the YAML's text."""
    expected = {
        "string_type": "text",
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "yes or no",
        "tuple_type": "a list",
        "list_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "mapping_type": "a mapping",
    }
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        said, quoted = (repr(value), "") if written is None else (written, f": '{written}'")
        read = "yes or no" if isinstance(value, bool) else "a number"
        return f"{said} is {read} in YAML, expected text; write it in quotes{quoted}"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return f"{value!r} is text, expected {expected[kind]}{_as_number(value, kind)}"
    if kind == "bool_type" and isinstance(value, str):
        return f"{value!r} is text, expected yes or no; write it without quotes: yes, no, true or false"
    if kind == "int_type" and isinstance(value, float):
        return f"{value!r} is no whole number{_as_number(str(value), kind)}"
    if kind == "finite_number":
        return f"{value!r} is no finite number"
    got = "" if kind == "missing" or isinstance(value, Mapping) else f" (got {value!r})"
    hint = "; did you mean cuda?" if isinstance(value, str) and value.lower() in ("gpu", "cuda:0", "nvidia") else ""
    asked = f"expected {expected[kind]}" if kind in expected else message.removeprefix("Value error, ")
    return f"{asked}{got}{hint if kind == 'literal_error' else ''}"


def _as_number(text: str, kind: str) -> str:
    """Return "; write 8" for the text of a number that would be taken."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number) or (kind == "int_type" and number != int(number)):
        return ""
    return f"; write {int(number) if kind == 'int_type' else number}"
