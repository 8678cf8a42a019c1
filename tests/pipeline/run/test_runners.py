"""The same bytes from the in-process runner, from worker processes, and from a portable job service."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from fairshards.pipeline.pictures.models import generator_spec, scorer_spec
from fairshards.pipeline.run.jobs import Launcher, RunnerError
from fairshards.transforms.pictures.generate import Generate
from fairshards.transforms.pictures.score import Score
from tests.pipeline.small import Small, digests, small_recipe


@pytest.mark.slow
def test_two_worker_processes_write_the_same_bytes(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small.run(tmp_path / "alone", launcher=Launcher(torch_threads=1))  # equal bytes need equal threads
    small.run(tmp_path / "run", launcher=Launcher(workers=2, torch_threads=1))
    assert digests(tmp_path / "run", "**/*.tar") == digests(tmp_path / "alone", "**/*.tar")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def service(module: str, *arguments: str, port: int, folder: Path) -> Iterator[None]:
    """Run a Beam service in a process of its own until the body ends."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool starts `python` by name
    log = folder / f"{module.rpartition('.')[2]}.log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=file,
            stderr=file,
            cwd=folder,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
    try:
        wait_for(port, process, log)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(timeout=20)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()}")


def test_the_portable_job_service_with_external_workers_writes_the_same_bytes(small: Small, tmp_path: Path) -> None:
    jobs, workers = free_port(), free_port()
    with (
        service(
            "apache_beam.runners.portability.local_job_service_main", "--port", str(jobs), port=jobs, folder=tmp_path
        ),
        service(
            "apache_beam.runners.worker.worker_pool_main", "--service_port", str(workers), port=workers, folder=tmp_path
        ),
    ):
        options = (
            f"--job_endpoint=localhost:{jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{workers}",
        )
        threads = len(os.sched_getaffinity(0))  # as many as the shared run had in this process
        small.run(tmp_path / "run", launcher=Launcher("portable", options=options, torch_threads=threads))
    assert digests(tmp_path / "run", "curated/**/*.tar") == digests(small.root, "curated/**/*.tar")


def test_model_stages_carry_their_hints_in_the_job_graph(small: Small) -> None:
    recipe = small_recipe(small.folder)
    from dataclasses import replace

    spec = replace(generator_spec(recipe), device="cuda", min_ram="16GB")
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([]) | Generate(spec) | Score(scorer_spec(recipe))
    graph = pipeline.to_runner_api()
    hints = {
        environment.resource_hints.get("beam:resources:accelerator:v1"): environment
        for environment in graph.components.environments.values()
    }
    assert b"type:nvidia-tesla-t4;count:1;install-nvidia-driver" in hints
    inference = [t for t in graph.components.transforms.values() if "Generate/BeamML_RunInference" in t.unique_name]
    hinted = {
        graph.components.environments[t.environment_id].resource_hints.get("beam:resources:accelerator:v1")
        for t in inference
        if t.environment_id
    }
    assert hinted == {b"type:nvidia-tesla-t4;count:1;install-nvidia-driver"}


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (Launcher("spark"), "unknown runner 'spark'; known: local"),
        (Launcher("dask"), "loses elements"),
        (Launcher("flink", workers=2), "--workers is for --runner local"),
    ],
)
def test_runners_that_cannot_be_used(launcher: Launcher, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        launcher.pipeline_options()
