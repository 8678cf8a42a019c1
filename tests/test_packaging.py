"""The wheel, tried from a folder that isn't the checkout; and what happens when another folder shadows ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fairshards import PACKAGES, ShadowedPackage, check_installation
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


def test_the_wheel_holds_every_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if not name.startswith("fairshards-")}
    assert tops == {*PACKAGES, "fairshards.py"}
    for wanted in (
        "recipes/pocket-waterbirds.yaml",
        "catalogs/sql/schema.sql",
        "pocket/checkpoints/pocket-clip/",
        "pocket/checkpoints/pocket-diffusion/unet/",
        "pipeline/templates/",
        "transforms/sources/base.py",
    ):
        assert any(name.startswith(wanted) for name in names), wanted


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
    command = [
        sys.executable,
        "-m",
        "fairshards",
        "run",
        str(recipe),
        "--until",
        "curate",
        "-q",
        "--workers",
        "2",
    ]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(digests(elsewhere / "runs/small")) == 1


def test_a_folder_that_shadows_a_package_is_named(wheel: Path, tmp_path: Path) -> None:
    environment, elsewhere = installed(wheel, tmp_path), tmp_path / "elsewhere"
    (elsewhere / "filters").mkdir(parents=True)
    (elsewhere / "filters/__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "fairshards", "recipes"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"{elsewhere / 'filters/__init__.py'} shadows it" in done.stderr and "PYTHONPATH" in done.stderr


def test_workers_would_see_the_shadow_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    check_installation()
    with pytest.raises(ShadowedPackage, match=r"pipeline/__init__\.py shadows it"):
        check_installation(also=(str(tmp_path),))


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
