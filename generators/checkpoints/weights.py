"""Which weights a model's folder holds: safe or pickled, of a variant such as fp16, whole or cut short. No torch."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SAFE_WEIGHTS = (".safetensors",)
PICKLED_WEIGHTS = (".bin", ".ckpt", ".pt", ".pth")
VARIANTS = ("fp16", "bf16")
"""Of several that a folder holds, the first of these is loaded."""
_NAME = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<variant>\w+))?(?:-\d{5}-of-\d{5})?(?:\.(?P<late>\w+))?"
    r"\.(?:safetensors|bin)"
)
_SHARD = re.compile(r".*-\d{5}-of-\d{5}\b.*\.safetensors")
_POINTER = b"version https://git-lfs"


class ModelFilesError(RuntimeError):
    """A model can't be found or loaded: an error of the set-up, never of a sample."""


def check_weights(folder: Path, *, allow_pickle: bool = False) -> None:
    """Check that a folder's weights, and those of every model in it, are there, whole, and safe to load.

    Raises:
        ModelFilesError: no weights, pickled ones only and ``allow_pickle`` is False, a shard that an index names and
            the folder lacks, a file that was cut short, or variants that can't be loaded together.
    """
    variant = variant_of(folder, allow_pickle=allow_pickle)
    for part in model_folders(folder):
        _check_whole(part, _used(_names(part), variant))


def variant_of(folder: Path, *, allow_pickle: bool = False) -> str | None:
    """Return the variant that the libraries have to be asked for, "fp16" for example; None: the plain files are there.

    Raises:
        ModelFilesError: a model in the folder has no weights that may be loaded, or two of them share no variant.
    """
    lacking = {part: own for part in model_folders(folder) if None not in (own := _variants(part, allow_pickle))}
    if not lacking:
        return None
    shared = set.intersection(*map(set, lacking.values()))
    if not shared:
        found = ", ".join(f"{part.name} has {' and '.join(sorted(map(str, own)))}" for part, own in lacking.items())
        raise ModelFilesError(
            f"model folder {folder} holds variants of weights that can't be loaded together: "
            f"{found}; download one variant of all its models, or the plain files"
        )
    return str(min(shared, key=lambda one: (VARIANTS.index(one) if one in VARIANTS else len(VARIANTS), one)))


def model_folders(folder: Path) -> list[Path]:
    """Return the folders that must hold weights: a diffusers pipeline's models, or the folder itself.

    Raises:
        ModelFilesError: ``model_index.json`` is damaged, or names a model that isn't there.
    """
    if not (folder / "model_index.json").is_file():
        return [folder]
    parts = [folder / name for name in components(folder)]
    if missing := [part.name for part in parts if not part.is_dir()]:
        raise ModelFilesError(
            f"model folder {folder} lacks {', '.join(missing)}, which its model_index.json names; "
            "download the model again"
        )
    return [part for part in parts if (part / "config.json").is_file()]


def components(folder: Path) -> dict[str, str]:
    """Return the class of every component that a pipeline's ``model_index.json`` names, by its folder's name.

    An entry is a component where it is a pair of library and class; other lists are settings (Krea 2 lists layers).
    """
    found = {}
    for name, kind in read_json(folder / "model_index.json").items():
        own = name.startswith("_")  # a class of somebody's own is such a pair too
        if not own and isinstance(kind, list) and len(kind) == 2 and all(isinstance(part, str) for part in kind):
            found[name] = kind[1]
    return found


def read_json(file: Path) -> dict[str, Any]:
    """Return the mapping that a model's JSON file holds.

    Raises:
        ModelFilesError: it holds something else.
    """
    try:
        read = json.loads(file.read_text())
    except ValueError as error:
        raise ModelFilesError(f"{file} is not valid JSON ({error}); download the model again") from error
    if not isinstance(read, dict):
        raise ModelFilesError(f"{file} holds a {type(read).__name__}, expected a mapping; download the model again")
    return read


def safetensors_header(file: Path) -> dict[str, Any]:
    """Return a safetensors file's JSON header (8 bytes of length, then JSON).

    Raises:
        ModelFilesError: the file has none: it is a Git LFS pointer, or was cut short.
    """
    size = file.stat().st_size
    with open(file, "rb") as opened:
        begin = opened.read(len(_POINTER))
        opened.seek(0)
        if begin == _POINTER:
            raise ModelFilesError(
                f"{file} is a Git LFS pointer of {size} bytes, not the weights: run `git lfs pull` "
                "in the repository, or download the model again"
            )
        (length,) = struct.unpack("<Q", opened.read(8)) if size >= 8 else (size,)
        if length > size - 8:
            raise ModelFilesError(
                f"{file} can't be loaded: it was cut short, or is no safetensors file ({size} "
                "bytes); download the model again"
            )
        try:
            header = json.loads(opened.read(length))
        except ValueError:
            header = None
    tensors = header.items() if isinstance(header, dict) else [("", header)]
    if not all(isinstance(one, dict) and (name == "__metadata__" or "data_offsets" in one) for name, one in tensors):
        raise ModelFilesError(f"{file} can't be loaded: it is no safetensors file; download it again")
    return dict(tensors)


def _names(part: Path) -> list[str]:
    return sorted(path.name for path in part.glob("*") if path.is_file())


def _variants(part: Path, allow_pickle: bool) -> set[str | None]:
    """Return the variants of a model's weights that may be loaded; None stands for the plain files."""
    names = _names(part)
    safe, pickled = ([name for name in names if name.endswith(kind)] for kind in (SAFE_WEIGHTS, PICKLED_WEIGHTS))
    if not safe and not pickled:
        raise ModelFilesError(
            f"model folder {part} has no weights: expected a .safetensors file, got "
            f"{', '.join(names) or 'an empty folder'}; download or train the model again"
        )
    if not safe and not allow_pickle:
        raise ModelFilesError(
            f"model folder {part} has only pickled weights ({', '.join(pickled)}), which can run "
            "code when loaded; convert them to .safetensors, or set allow_pickle if you "
            "trust their author"
        )
    return {_variant(name) for name in (safe or pickled)}


def _variant(name: str) -> str | None:
    match = _NAME.fullmatch(name)
    return (match["variant"] or match["late"]) if match else None


def _used(names: Sequence[str], variant: str | None) -> list[str]:
    """Return the weights and index that are loaded: of the variant where the model has it, else the plain ones."""
    kinds = (variant, None) if variant and any(_variant(name) == variant for name in names) else (None,)
    index = ".index.json" if kinds[0] is None else f".index.{kinds[0]}.json"
    return [
        name for name in names if name.endswith(index) or (name.endswith(SAFE_WEIGHTS) and _variant(name) == kinds[0])
    ]


def _check_whole(part: Path, names: Iterable[str]) -> None:
    """Check that every shard of an index is there, and every file as long as its header says."""
    found = list(names)
    indices = [name for name in found if name.endswith(".json")]
    for name in indices:
        wanted = sorted(set(read_json(part / name).get("weight_map", {}).values()))
        if missing := [shard for shard in wanted if not (part / shard).is_file()]:
            raise ModelFilesError(
                f"model folder {part} lacks {len(missing)} of {len(wanted)} files that {name} names, "
                f"the first is {missing[0]}; download the model again"
            )
    weights = [name for name in found if not name.endswith(".json")]
    if weights and not indices and all(_SHARD.fullmatch(name) for name in weights):
        raise ModelFilesError(
            f"model folder {part} has {weights[0]}, a part of its weights, but no index that says "
            "how many parts there are; download the model again"
        )
    for name in weights:
        tensors = safetensors_header(part / name)
        end = max((one["data_offsets"][1] for key, one in tensors.items() if key != "__metadata__"), default=0)
        held = (part / name).stat().st_size
        with open(part / name, "rb") as opened:
            expected = 8 + struct.unpack("<Q", opened.read(8))[0] + end
        if held != expected:
            raise ModelFilesError(
                f"{part / name} can't be loaded: its header says {expected} bytes, it has {held}; download it again"
            )
