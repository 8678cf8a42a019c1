"""Where a model lies and what it is: folders, hub ids, fingerprints. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fairshards.generators.checkpoints.weights import (
    PICKLED_WEIGHTS,
    SAFE_WEIGHTS,
    VARIANTS,
    ModelFilesError,
    check_weights,
    model_folders,
)

__all__ = ["ModelFilesError", "check_weights", "file_sha256", "fingerprint", "library_versions", "resolve_model"]

SETTINGS = (".json", ".txt", ".model", ".yaml", ".jinja")
HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
IGNORED_STEMS = ("readme", "license", "notice", "changelog", "golden")
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")

_HASHES: dict[tuple[str, int, int], str] = {}


def resolve_model(
    name: str | Path, revision: str | None = None, *, offline: bool | None = None, allow_pickle: bool = False
) -> Path:
    """Return the folder of a model, downloading it where ``name`` is a hub id.

    Args:
        name: A local folder (also ``local-dir:FOLDER``), or an id of the Hugging Face hub, ``owner/name``.
        revision: Branch, tag or commit on the hub.
        offline: True: never ask the hub, only its cache. None: as the environment says (HF_HUB_OFFLINE).
        allow_pickle: Accept .bin, .ckpt, .pt weights, which can run code when they are loaded.

    Raises:
        ModelFilesError: the folder or id isn't there, or holds no weights that may be loaded.
    """
    text = str(name).removeprefix("local-dir:")
    folder = Path(text).expanduser()
    if folder.is_dir():
        check_weights(folder, allow_pickle=allow_pickle)
        return folder.resolve()
    if folder.exists():
        raise ModelFilesError(f"model {text!r} is a file; give the folder that holds it, with its config files")
    if not is_hub_id(text) or str(name) != text:
        raise ModelFilesError(f"model folder {text!r} isn't there (looked in {Path.cwd()}); give a folder or a hub id")
    downloaded = _download(text, revision, offline, allow_pickle)
    check_weights(downloaded, allow_pickle=allow_pickle)
    return downloaded


def fingerprint(path: Path | str, extra: Mapping[str, Any] | None = None) -> str:
    """Return 64 hex digits that stand for a model: its weight and config files, and ``extra``.

    ``extra`` holds what else decides its results: scheduler, dtype, library versions (``library_versions``).
    READMEs, licences, logs, golden outputs and hidden files don't count.

    Raises:
        ModelFilesError: there is no folder, or no file in it that counts.
    """
    files = [(name, file_sha256(file)) for name, file in _deciding_files(Path(path))]
    if not files:
        raise ModelFilesError(f"model folder {str(path)!r} isn't there or holds no weights and config files")
    text = json.dumps({"files": files, "extra": dict(extra or {})}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def library_versions(names: tuple[str, ...] = LIBRARIES) -> dict[str, str]:
    """Return the installed version of each library that can change pixels; those not there are left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 as 64 hex digits; kept in memory while its size and time stay the same."""
    state = path.stat()
    key = (str(path.resolve()), state.st_size, state.st_mtime_ns)
    if key not in _HASHES:
        with open(path, "rb") as file:
            _HASHES[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _HASHES[key]


def _deciding_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        hidden = any(part.startswith(".") or part == "logs" for part in name.parts)
        counts = file.suffix in (*SAFE_WEIGHTS, *PICKLED_WEIGHTS, *SETTINGS)
        if file.is_file() and counts and not hidden and not file.stem.lower().startswith(IGNORED_STEMS):
            yield name.as_posix(), file


def is_hub_id(text: str) -> bool:
    """Tell whether a text has the form of a hub's id, ``owner/name``, so that it need not be a folder."""
    parts = text.split("/")
    return len(parts) <= 2 and all(part and not part.startswith((".", "~")) for part in parts) and "\\" not in text


def _holds_weights(part: Path) -> bool:
    return any(file.suffix in (*SAFE_WEIGHTS, *PICKLED_WEIGHTS) for file in part.glob("*"))


def _download(name: str, revision: str | None, offline: bool | None, allow_pickle: bool) -> Path:
    """Fetch a hub repository's config files and weights; of a pipeline only what it loads by default.

    A model that has its weights in a variant alone (fp16) is fetched in that one.
    """
    from huggingface_hub import snapshot_download

    settings: dict[str, Any] = {"revision": revision, "local_files_only": bool(offline)}
    pickled = [f"*{suffix}" for suffix in PICKLED_WEIGHTS] if allow_pickle else []
    try:
        configs = Path(snapshot_download(name, allow_patterns=["*.json"], **settings))
        of_pipeline = (configs / "model_index.json").is_file()
        wanted = [f"*/{pattern}" if of_pipeline else pattern for pattern in (*HUB_FILES, *pickled)]
        variants = ["*.fp16.*", "*.bf16.*", "*non_ema*"]
        found = Path(snapshot_download(name, allow_patterns=[*wanted, "*.json"], ignore_patterns=variants, **settings))
        if lacking := [part.relative_to(found) for part in model_folders(found) if not _holds_weights(part)]:
            also = [(part / f"*.{variant}*.safetensors").as_posix() for part in lacking for variant in VARIANTS]
            snapshot_download(name, allow_patterns=also, **settings)
        return found
    except ModelFilesError:
        raise
    except Exception as error:  # the hub's client raises a dozen unrelated types
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelFilesError(
            f"model {name!r} is no folder here (looked in {Path.cwd()}) and can't be fetched from the hub "
            f"({type(error).__name__}: {first_line}); check the spelling, the network and HF_TOKEN, or give a folder"
        ) from None
