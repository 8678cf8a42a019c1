"""What diffusers' classes take, read from their source: importing diffusers takes seconds, which a plan needn't spend.

Of a signature the names count, and those defaults that are written as plain values; others stand as None.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

Signature = Mapping[str, Any]
"""Arguments by name, with their defaults; None where there is none, or it is no plain value."""
TEXT_TO_IMAGE, INPAINTING = "AutoPipelineForText2Image", "AutoPipelineForInpainting"
_MAPPINGS = {TEXT_TO_IMAGE: "AUTO_TEXT2IMAGE_PIPELINES_MAPPING", INPAINTING: "AUTO_INPAINT_PIPELINES_MAPPING"}


def pipeline_class(saved: str, loader: str) -> str | None:
    """Return the pipeline class that diffusers' ``loader`` makes of a folder that says ``saved``; None: of none.

    A loader that isn't one of the two AutoPipelines is the class itself.
    """
    if loader not in _MAPPINGS:
        return loader
    mappings = _auto_mappings()
    kind = next((kind for mapping in mappings.values() for kind, name in mapping.items() if name == saved), None)
    return None if kind is None else mappings[_MAPPINGS[loader]].get(kind)


def pipeline_takes(name: str) -> Signature:
    """Return the arguments of a pipeline's call; empty for a class that diffusers doesn't have."""
    return _signature(name, "__call__", "pipelines")


def scheduler_takes(name: str) -> Signature:
    """Return the settings of a scheduler.

    Raises:
        ValueError: diffusers has no scheduler of that name.
    """
    found = _signature(name, "__init__", "schedulers")
    if not found:
        known = sorted(one for one in _classes("schedulers") if one.endswith("Scheduler") and "Flax" not in one)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise ValueError(f"scheduler {name!r} is not one of diffusers'; did you mean {', '.join(near)}?")
    return found


@lru_cache
def _signature(name: str, function: str, place: str) -> Signature:
    file = _classes(place).get(name)
    if file is None:
        return {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            for one in node.body:
                if isinstance(one, ast.FunctionDef) and one.name == function:
                    return _arguments(one.args)
    return {}


def _arguments(args: ast.arguments) -> dict[str, Any]:
    named = [*args.posonlyargs, *args.args]
    defaults = [*[None] * (len(named) - len(args.defaults)), *args.defaults, *args.kw_defaults]
    pairs = zip([*named, *args.kwonlyargs], defaults, strict=True)
    return {
        one.arg: default.value if isinstance(default, ast.Constant) else None
        for one, default in pairs
        if one.arg != "self"
    }


@lru_cache
def _classes(place: str) -> Mapping[str, Path]:
    """Return the file of every class in a part of diffusers."""
    found: dict[str, Path] = {}
    for file in sorted((_diffusers() / place).rglob("*.py")):
        found.update(dict.fromkeys(re.findall(r"^class (\w+)", file.read_text(), re.M), file))
    return found


@lru_cache
def _auto_mappings() -> dict[str, dict[str, str]]:
    """Return the tables of diffusers' AutoPipelines: by the table's name, the class's name by its kind of model."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse((_diffusers() / "pipelines" / "auto_pipeline.py").read_text())):
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Name) and target.id.endswith("_PIPELINES_MAPPING") and isinstance(value, ast.Call):
            found[target.id] = {pair.elts[0].value: pair.elts[1].id for pair in value.args[0].elts}  # type: ignore[attr-defined]
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and isinstance(value, ast.Name):
            found[target.value.id][target.slice.value] = value.id  # type: ignore[attr-defined]
    return found


def _diffusers() -> Path:
    spec = importlib.util.find_spec("diffusers")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
