"""The run folder: where everything of a run lies, which manifests are current, and who may write."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fairshards.catalogs.manifests import manifest
from fairshards.catalogs.manifests.manifest import Head, ManifestError


class RunFolderError(RuntimeError):
    """The run folder can't be used as asked."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder on this machine's file system."""

    root: Path

    @property
    def path(self) -> str:
        """The absolute path, as tasks carry it."""
        return str(self.root)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder for one driver.

        Raises:
            RunFolderError: another process runs this folder; its PID is named.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / ".driver.lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise RunFolderError(
                    f"{self.root} is being written by process {file.read().strip() or '?'}; "
                    "wait for it, or give this run another name with --set name=..."
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def commit(
        self,
        name: str,
        stage: str,
        task: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        task_hash: str,
        inputs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        row_group: int = 4096,
    ) -> Head:
        """Commit a manifest of the driver's own and return its head; one that is there is left as it is."""
        if found := self.committed(name, task_hash):
            return found
        head = Head(stage, task, task_hash, "driver/1", tuple(inputs), None, settings or {})
        data, sealed = manifest.encode(head, rows, {"pid": os.getpid(), "started": time.time()}, row_group)
        manifest.write_local(self.root / name, data)
        return sealed

    def committed(self, name: str, task_hash: str) -> Head | None:
        """Return the head of a manifest that commits this task; None where there is none, or a damaged one."""
        path = self.root / name
        with contextlib.suppress(ManifestError):
            if path.exists() and (head := manifest.read_rows(path)[0]).task_hash == task_hash:
                return head
        return None

    def set_current(self, manifests: Sequence[str], *, finished: bool) -> None:
        """Write run.json: the manifests that the catalog must reflect, in order, and whether the run is at its end."""
        said = {"format": 1, "finished": finished, "working_folder": os.getcwd(), "manifests": list(manifests)}
        manifest.write_local(self.root / "run.json", json.dumps(said, indent=1).encode())

    def current(self) -> list[str]:
        """Return what run.json lists; nothing before the first stage is done.

        Raises:
            RunFolderError: run.json is damaged.
        """
        return list(self._said().get("manifests", []))

    def finished(self) -> bool:
        """Tell whether the last run came to its end; only then does ``current`` name all that is of use."""
        return self._said().get("finished") is True

    def _said(self) -> dict[str, Any]:
        file = self.root / "run.json"
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("manifests"), list):
            root = shlex.quote(self.path)
            raise RunFolderError(
                f"{file} is damaged: expected JSON with a list of manifests; `fairshards run "
                f"{root}/recipe.yaml -o {root}` writes it anew from what is committed"
            )
        return said

    def go_home(self) -> Path | None:
        """Change to the working folder that the run was last made from, where a model or run that its recipe names by
        a relative path lies there and not here; return that folder, or None where nothing had to be done.
        """
        home = Path(self._said().get("working_folder", "."))
        named = list(_named(yaml.safe_load((self.root / "recipe.yaml").read_text())))
        if not any(not Path(name).exists() and (home / name).exists() for name in named):
            return None
        os.chdir(home)
        return home

    def still_valid(self, candidates: Sequence[str], current: Mapping[str, str]) -> dict[str, str]:
        """Return, of manifests made earlier, those whose inputs are all current: name -> content hash.

        ``current`` maps manifest names to content hashes. A curation under an older threshold stays, for its
        samples and scores still stand; one over samples that were replaced goes.
        """
        kept: dict[str, str] = {}
        for name in candidates:
            try:
                head = manifest.read_head(self.root / name)
            except ManifestError:
                continue
            if set(head.inputs) <= {*current.values(), *kept.values()}:
                kept[name] = head.content_sha256
        return kept


def _named(section: Any) -> Iterator[str]:
    """Yield what a recipe names as models, weights and runs; the dataset isn't needed any more."""
    for key, value in section.items() if isinstance(section, dict) else ():
        if key in ("model", "sam", "weights", "run") and isinstance(value, str):
            yield value
        yield from _named(value)


def run_folder(path: str | Path) -> RunFolder:
    """Return the folder of a run that may be a new one.

    Raises:
        RunFolderError: the path is one of an object store.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # a Path makes one slash of two
        raise RunFolderError(
            f"the run folder can't be {path}: the driver needs a local file system, or one that it shares with the "
            "workers (NFS, a mounted bucket); name such a folder with --output, and copy curated/ from there"
        )
    return RunFolder(Path(path).absolute())


def shell_path(root: Path) -> str:
    """Return the run folder as a command names it: from the working folder when it lies below it, else in full."""
    path, here = root.resolve(), Path.cwd().resolve()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def open_run(path: str) -> RunFolder:
    """Return an existing run's folder, by path or by name below ./runs.

    Raises:
        RunFolderError: there is no run.
    """
    for root in (Path(path), Path("runs") / path):
        if (root / "recipe.yaml").is_file():
            return RunFolder(root.resolve())
    known = sorted(str(file.parent) for file in Path("runs").glob("*/recipe.yaml"))
    raise RunFolderError(
        f"no run in {path!r}: expected a folder with recipe.yaml, made by `fairshards run`; "
        f"runs here: {', '.join(known) or 'none'}"
    )
