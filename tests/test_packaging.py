"""The wheel: what it holds, and that it runs from a folder that isn't the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.pipeline.small import digests, write_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy: an in-tree build leaves a build folder whose old files get into later wheels."""
    folder = tmp_path_factory.mktemp("wheel")
    hidden = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(ROOT, folder / "source", ignore=hidden)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(folder), str(folder / "source")], check=True)
    return next(folder.glob("fairshards-*.whl"))


def test_the_wheel_holds_every_folder_under_one_name_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if not name.startswith("fairshards-")} == {"fairshards"}
    folders = [folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists()]
    folders = [folder for folder in folders if folder.name not in ("tests", "benchmarks")]
    modules = {
        file.relative_to(ROOT).as_posix().removeprefix("fairshards/")
        for folder in folders
        for file in folder.rglob("*.py")
    }
    assert {name.removeprefix("fairshards/") for name in names if name.endswith(".py")} == modules
    for wanted in (
        "py.typed",
        "recipes/pocket-waterbirds.yaml",
        "catalogs/sql/schema.sql",
        "catalogs/sql/report/run.sql",
        "pocket/checkpoints/pocket-clip/",
        "pocket/checkpoints/pocket-diffusion/unet/",
        "pipeline/report/templates/",
    ):
        assert any(name.startswith(f"fairshards/{wanted}") for name in names), wanted


def installed(wheel: Path, folder: Path) -> dict[str, str]:
    """Unpack the wheel as pip does, and return an environment that finds it before the checkout."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "site"),
        str(wheel),
    ]
    subprocess.run(command, check=True)
    return {**os.environ, "PYTHONPATH": str(folder / "site")}


def test_the_installed_wheel_runs_elsewhere_with_two_workers(wheel: Path, tmp_path: Path) -> None:
    environment, elsewhere = installed(wheel, tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    recipe = write_recipe(tmp_path / "recipe")
    command = [sys.executable, "-m", "fairshards", "run", str(recipe), "--until", "curate", "-q", "--workers", "2"]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(digests(elsewhere / "runs/small")) == 1


def test_a_users_folder_of_a_common_name_hides_nothing(wheel: Path, tmp_path: Path) -> None:
    environment, elsewhere = installed(wheel, tmp_path), tmp_path / "elsewhere"
    (elsewhere / "filters").mkdir(parents=True)
    (elsewhere / "filters/__init__.py").write_text("raise RuntimeError('not ours')")
    command = [sys.executable, "-m", "fairshards", "recipes"]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_module_is_imported_under_its_folders_name() -> None:
    """From the checkout ``pipeline`` could be imported as well: a second copy, whose classes are other ones."""
    folders = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()} - {"tests", "benchmarks"}
    script = "import sys, fairshards.pipeline.cli.app; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not (folders - {"fairshards"}) & set(done.stdout.split())


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    binaries = tmp_path / "venv/bin"
    subprocess.run(
        [binaries / "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True
    )
    command = [
        binaries / "fairshards",
        "run",
        "pocket-waterbirds",
        "--workers",
        "2",
        "--until",
        "curate",
        "-q",
        "--set",
        "quota.per_group=8",
        "--set",
        "quota.usb_extra=false",
        "--set",
        "quota.shard_size=8",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
