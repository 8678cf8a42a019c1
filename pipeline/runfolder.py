"""The run folder: where everything of a run lies, which manifests are current, and who may write."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogs import manifest
from catalogs.manifest import Head, ManifestError


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
        path = self.root / name
        with contextlib.suppress(ManifestError):
            if path.exists() and (head := manifest.read_rows(path)[0]).task_hash == task_hash:
                return head
        head = Head(stage, task, task_hash, "driver/1", tuple(inputs), None, settings or {})
        data, sealed = manifest.encode(head, rows, {"pid": os.getpid(), "started": time.time()}, row_group)
        manifest.write_local(path, data)
        return sealed

    def set_current(self, manifests: Sequence[str]) -> None:
        """Write run.json: the manifests that the catalog must reflect, in order."""
        data = json.dumps({"format": 1, "manifests": list(manifests)}, indent=1).encode()
        manifest.write_local(self.root / "run.json", data)

    def current(self) -> list[str]:
        """Return what run.json lists; nothing before the first stage is done."""
        file = self.root / "run.json"
        return list(json.loads(file.read_text())["manifests"]) if file.exists() else []

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
