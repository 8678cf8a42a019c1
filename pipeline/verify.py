"""Check a run against its manifests, regenerate some of its samples, and collect orphans."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from fairshards.catalogs.manifests import manifest, places
from fairshards.catalogs.manifests.manifest import Head, ManifestError
from fairshards.pipeline.kinds.registry import kind_in, kind_of
from fairshards.pipeline.recipe.base import RecipeBase
from fairshards.pipeline.run.folder import RunFolder
from fairshards.pipeline.run.progress import Reporter
from fairshards.transforms.shards import embeddings
from fairshards.transforms.shards.tars import sha256


def verify(folder: RunFolder, recipe: RecipeBase, samples: int, clean: bool, console: Console) -> int:
    """Check every current shard, regenerate ``samples`` samples, delete orphans with ``clean``.

    Returns:
        The exit code: 0 when all is as committed, 1 when something differs, or can't be cleaned yet.

    Raises:
        RunFolderError: ``clean``, and another process runs this folder; its PID is named.
    """
    seen: list[str] = []
    report = Reporter(console)
    with report.watch("checking manifests and shards", len(folder.current()), lambda: len(seen)):
        problems = list(check_shards(folder, seen))
    _print(problems, console)
    console.print(f"{len(folder.current())} manifests and their shards checked: {len(problems)} problems")
    if samples:
        regenerated = kind_of(recipe).regenerate(folder, recipe, samples, report)
        _print(regenerated.problems, console)
        console.print(regenerated.said, soft_wrap=True)
        problems += regenerated.problems
    if clean:
        with folder.writing():
            cleaned = _clean(folder, console)
        return 1 if problems or not cleaned else 0
    if orphans := list(find_orphans(folder)):
        console.print(f"{len(orphans)} files that no current manifest names; --clean deletes them")
    return 1 if problems else 0


def _print(problems: Sequence[str], console: Console) -> None:
    for problem in problems:
        console.print(f"[red]{escape(problem)}[/]", soft_wrap=True)


def _clean(folder: RunFolder, console: Console) -> bool:
    """Delete the orphans and return True; delete nothing after a run that was stopped, whose work they may be."""
    orphans = list(find_orphans(folder))
    if orphans and not folder.finished():
        root = shlex.quote(folder.path)
        console.print(
            f"{len(orphans)} files that no current manifest names were kept: the last run here didn't come to its end, "
            f"and they may be its work. Finish it with `fairshards run {escape(root)}/recipe.yaml -o {escape(root)}`, "
            "or with the command that began it; then --clean deletes what is left over",
            soft_wrap=True,
        )
        return False
    for path in orphans:
        path.unlink()
    console.print(f"{len(orphans)} files that no current manifest names were deleted")
    return True


def check_shards(folder: RunFolder, seen: list[str] | None = None) -> Iterator[str]:
    """Yield what is wrong with the current manifests and the tars that they name; ``seen`` gets each name in turn."""
    kind = kind_in(folder.root)
    for name in folder.current():
        if seen is not None:
            seen.append(name)
        try:
            head, _ = manifest.read_rows(folder.root / name)
        except ManifestError as error:
            yield str(error)
            continue
        if beside := head.settings.get(embeddings.KEY):
            yield from _check_tar((folder.root / name).parent / beside["name"], beside["sha256"])
        for _, faults in kind.companions(folder.root / name, head):
            yield from faults()
        if head.shard:
            yield from _check_tar((folder.root / name).parent / head.shard.name, head.shard.sha256)
        elif head.stage == "index" and name.startswith(places.CURATED):
            for shard in head.settings["shards"]:
                yield from _check_tar((folder.root / name).parent / shard["name"], shard["sha256"])


def _check_tar(path: Path, expected: str) -> Iterator[str]:
    if not path.exists():
        yield f"{path} is missing; run the recipe again to make it"
    elif (present := sha256(path.read_bytes())) != expected:
        yield f"{path} has checksum {present[:12]}, committed was {expected[:12]}; delete it and run the recipe again"


def find_orphans(folder: RunFolder) -> Iterator[Path]:
    """Yield files of earlier attempts or of superseded tasks: tars and manifests that nothing current names.

    A file that a run which is still at work, or was stopped, has made and not yet listed is among them.
    """
    kind = kind_in(folder.root)
    wanted = {folder.root / name for name in folder.current()}
    for name in folder.current():
        place, head = (folder.root / name).parent, manifest.read_head(folder.root / name)
        wanted |= {place / head.shard.name} if head.shard else set()
        wanted |= {path for path, _ in kind.companions(folder.root / name, head)}
        wanted |= {place / beside["name"]} if (beside := head.settings.get(embeddings.KEY)) else set()
        if head.stage == "index" and name.startswith(places.CURATED):
            wanted |= set(_of_curation(place, head))
    for stage in (places.SOURCE, places.CALIBRATION, *places.SAMPLES, places.CURATED, places.EVALUATION):
        for path in sorted((folder.root / stage).rglob("*")):
            if path.is_file() and path not in wanted:
                yield path


def _of_curation(place: Path, index: Head) -> Iterator[Path]:
    """Yield a curation's files: its selection, the shards that its index names, and the manifests that commit them."""
    named = {shard["name"]: shard["sha256"] for shard in index.settings["shards"]}
    yield place / "selection.parquet"
    yield from (place / name for name in named)
    for path in place.glob("*.parquet"):
        with contextlib.suppress(ManifestError):
            shard = manifest.read_head(path).shard
            if shard and named.get(shard.name) == shard.sha256:
                yield path
