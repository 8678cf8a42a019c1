"""Where a model lies and what it is: folders, hub ids, safe weights, fingerprints. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SAFE_WEIGHTS = (".safetensors",)
PICKLED_WEIGHTS = (".bin", ".ckpt", ".pt", ".pth")
SETTINGS = (".json", ".txt", ".model", ".yaml", ".jinja")
HUB_FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors")
IGNORED_STEMS = ("readme", "license", "notice", "changelog", "golden")
LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "pillow")

_HASHES: dict[tuple[str, int, int], str] = {}


class ModelFilesError(RuntimeError):
    """A model can't be found or loaded: an error of the set-up, never of a sample."""


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
    if not _is_hub_id(text) or str(name) != text:
        raise ModelFilesError(f"model folder {text!r} isn't there (looked in {Path.cwd()}); give a folder or a hub id")
    downloaded = _download(text, revision, offline, allow_pickle)
    check_weights(downloaded, allow_pickle=allow_pickle)
    return downloaded


def check_weights(folder: Path, *, allow_pickle: bool = False) -> None:
    """Check that a folder's weights, and those of every model in it, are there and safe to load.

    Raises:
        ModelFilesError: no weights, or pickled ones only and ``allow_pickle`` is False.
    """
    for part in _model_folders(folder):
        names = sorted(path.name for path in part.glob("*") if path.is_file())
        if any(name.endswith(SAFE_WEIGHTS) for name in names):
            continue
        pickled = [name for name in names if name.endswith(PICKLED_WEIGHTS)]
        if not pickled:
            raise ModelFilesError(f"model folder {part} has no weights: expected a .safetensors file, got "
                                  f"{', '.join(names) or 'an empty folder'}; download or train the model again")
        if not allow_pickle:
            raise ModelFilesError(f"model folder {part} has only pickled weights ({', '.join(pickled)}), which can run "
                                  "code when loaded; convert them to .safetensors, or set allow_pickle if you "
                                  "trust their author")


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


def _model_folders(folder: Path) -> list[Path]:
    """Return the folders that must hold weights: a diffusers pipeline's models, or the folder itself."""
    index = folder / "model_index.json"
    if not index.is_file():
        return [folder]
    try:
        entries = json.loads(index.read_text())
    except ValueError as error:
        raise ModelFilesError(f"{index} is not valid JSON ({error}); download the model again") from error
    parts = [folder / name for name, kind in entries.items()
             if isinstance(kind, list) and kind and kind[0] is not None and not name.startswith("_")]
    missing = [part.name for part in parts if not part.is_dir()]
    if missing:
        raise ModelFilesError(f"model folder {folder} lacks {', '.join(missing)}, which its model_index.json names; "
                              "download the model again")
    return [part for part in parts if (part / "config.json").is_file()]


def _is_hub_id(text: str) -> bool:
    parts = text.split("/")
    return len(parts) <= 2 and all(part and not part.startswith((".", "~")) for part in parts) and "\\" not in text


def _download(name: str, revision: str | None, offline: bool | None, allow_pickle: bool) -> Path:
    """Fetch a hub repository's config files and weights; of a pipeline only what it loads by default."""
    from huggingface_hub import snapshot_download

    settings: dict[str, Any] = {"revision": revision, "local_files_only": bool(offline)}
    pickled = [f"*{suffix}" for suffix in PICKLED_WEIGHTS] if allow_pickle else []
    try:
        configs = Path(snapshot_download(name, allow_patterns=["*.json"], **settings))
        of_pipeline = (configs / "model_index.json").is_file()
        wanted = [f"*/{pattern}" if of_pipeline else pattern for pattern in (*HUB_FILES, *pickled)]
        variants = ["*.fp16.*", "*.bf16.*", "*non_ema*"]
        return Path(snapshot_download(name, allow_patterns=[*wanted, "*.json"], ignore_patterns=variants, **settings))
    except Exception as error:  # the hub's client raises a dozen unrelated types
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelFilesError(
            f"model {name!r} is no folder here (looked in {Path.cwd()}) and can't be fetched from the hub "
            f"({type(error).__name__}: {first_line}); check the spelling, the network and HF_TOKEN, or give a folder"
        ) from None
