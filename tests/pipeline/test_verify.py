"""Verify --clean: it deletes what nothing names, and never the work of a run that is at work or was stopped."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fairshards.catalogs.manifests import manifest
from fairshards.pipeline.run.folder import RunFolder, RunFolderError
from fairshards.pipeline.verify import find_orphans, verify
from tests.pipeline.small import Small, digests, small_recipe


def clean(small: Small, folder: RunFolder) -> tuple[int, str]:
    """Run verify --clean; return its exit code and what it printed."""
    said = io.StringIO()
    code = verify(folder, small_recipe(small.folder), 0, True, Console(file=said, width=200))
    return code, said.getvalue()


def of_other_bytes(path: Path) -> bytes:
    """Return a shard's manifest as it would be for other bytes under the same name."""
    head, rows = manifest.read_rows(path)
    assert head.shard is not None
    return manifest.encode(replace(head, shard=replace(head.shard, sha256="0" * 64)), rows, {})[0]


def test_a_curations_folder_keeps_what_its_index_names(small: Small, copy: Callable[[], Path]) -> None:
    folder = RunFolder(copy())
    place = (folder.root / small.result.curated.index).parent
    before = digests(folder.root, "**/*")
    (made,) = place.glob("balanced-000000-*.parquet")
    stale = [place / "balanced-000001.tar", place / "balanced-000000-000000000000.parquet", place / ".x.tar.1.tmp"]
    for path in stale:
        path.write_bytes(b"of a smaller curated_shard_size")
    stale[1].write_bytes(of_other_bytes(made))
    assert sorted(find_orphans(folder)) == sorted(stale)
    code, said = clean(small, folder)
    assert code == 0 and "3 files" in said and "were deleted" in said
    assert digests(folder.root, "**/*") == before and made.exists()
    assert list(find_orphans(folder)) == []


@pytest.mark.parametrize("listed", [("run-", "source/"), ()])
def test_nothing_of_a_stopped_run_is_deleted(small: Small, copy: Callable[[], Path], listed: tuple[str, ...]) -> None:
    """SIGKILL while generating: the shards are there, and run.json doesn't list them yet, or isn't there itself."""
    folder = RunFolder(copy())
    folder.set_current([name for name in folder.current() if name.startswith(listed)], finished=False)
    if not listed:
        (folder.root / "run.json").unlink()
    before = digests(folder.root, "**/*")
    code, said = clean(small, folder)
    assert code == 1 and f"fairshards run {folder.root}/recipe.yaml -o {folder.root}" in said
    assert digests(folder.root, "**/*") == before
    small.run(folder.root)
    assert clean(small, folder)[0] == 0
    assert digests(folder.root, "raw/*") == digests(small.root, "raw/*")


def test_a_run_json_that_does_not_say_that_the_run_ended(small: Small, copy: Callable[[], Path]) -> None:
    folder = RunFolder(copy())
    (folder.root / "run.json").write_text(json.dumps({"format": 1, "manifests": []}))
    assert clean(small, folder)[0] == 1
    assert digests(folder.root, "raw/*") == digests(small.root, "raw/*")


def test_a_folder_that_is_being_written_is_not_cleaned(small: Small, copy: Callable[[], Path]) -> None:
    folder = RunFolder(copy())
    with folder.writing(), pytest.raises(RunFolderError, match=f"process {os.getpid()}"):
        clean(small, folder)


def test_a_sample_that_depends_on_its_batch_is_seen(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made again in its own batch it is the same; alone it isn't."""
    from diffusers import UNet2DConditionModel

    forward = UNet2DConditionModel.forward

    def mixed(unet: Any, *args: Any, **kwargs: Any) -> Any:
        made = forward(unet, *args, **kwargs)[0]
        return (made + made.roll(1, 0),)

    monkeypatch.setattr(UNet2DConditionModel, "forward", mixed)
    folder = small.run(tmp_path / "run", until="generate").folder
    said = io.StringIO()
    assert verify(folder, small_recipe(small.folder), 2, False, Console(file=said, width=200)) == 1
    problems = [line for line in said.getvalue().splitlines() if "grey levels in" in line]
    assert len(problems) == 2, said.getvalue()
    assert all(line.endswith("grey levels in a batch alone") for line in problems)
