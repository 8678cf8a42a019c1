"""Checks of the place of a run: its folder, and the devices of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from fairshards.pipeline.recipe.base import RecipeError
from fairshards.pipeline.recipe.yaml_file import RecipeSyntaxError, read_recipe_text
from fairshards.pipeline.run.checks import Check, attempted

NAME_BYTES = 255
"""The longest file name of common file systems; a file is written under a longer, temporary one first."""


def folder_checks(root: Path, kind: str) -> Iterator[Check]:
    """Check that the run folder can be written, has names that fit, and belongs to a run of this kind, or to none."""
    what = f"run folder {root}"
    too_long = [part for part in root.parts if len(os.fsencode(part)) > NAME_BYTES]
    there = next((place for place in (root, *root.parents) if _is_there(place)), Path())
    if too_long:
        yield Check(
            what,
            "problem",
            f"{too_long[0][:40]}... is {len(os.fsencode(too_long[0]))} bytes long, and a file "
            f"system takes {NAME_BYTES}: shorten the recipe's name, or set --output",
        )
    elif not there.is_dir():
        yield Check(what, "problem", f"{there} is a file; give another folder with --output")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield Check(what, "problem", f"{there} can't be written here; give another folder with --output")
    else:
        yield attempted(what, lambda: _same_kind(root, kind), f"{shutil.disk_usage(there).free / 2**30:.1f} GiB free")


def elsewhere(checks: Iterable[Check], only_planned: bool) -> Iterator[Check]:
    """Yield the checks of devices; those that a run on another machine may have are no problems of a plan."""
    for one in checks:
        yield replace(one, state="note") if only_planned and one.state == "problem" else one


def device_is_here(device: str) -> None:
    """Raise ValueError for a device that this machine doesn't have."""
    import torch

    from fairshards.generators.checkpoints.loading import resolve_device

    resolve_device(device)
    if device == "mps" and not torch.backends.mps.is_available():
        raise ValueError("mps was asked for, but this machine has none; set cpu or cuda")


def _is_there(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:
        return False


def _same_kind(root: Path, kind: str) -> None:
    file = root / "recipe.yaml"
    if not file.is_file():
        return
    try:
        earlier = str(read_recipe_text(file.read_bytes()).data.get("kind", "pictures"))
    except RecipeSyntaxError as error:
        raise RecipeError(f"{file} {error}; delete it, or give another folder with --output") from None
    if earlier != kind:
        raise RecipeError(
            f"it holds a run of kind {earlier}, and this recipe is of kind {kind}; give another folder "
            "with --output, or another name"
        )
