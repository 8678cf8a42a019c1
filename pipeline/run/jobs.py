"""Running Beam jobs: which runner, with which options, and what is done before and after."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from fairshards.pipeline.run import interrupts
from fairshards.transforms.shards.task import ShardTask, TaskRecord

RUNNERS = {
    # DirectRunner would first try to download Prism; name the in-process runner instead
    "local": "apache_beam.runners.portability.fn_api_runner.FnApiRunner",
    "portable": "PortableRunner",
    "flink": "FlinkRunner",
    "dataflow": "DataflowRunner",
    "prism": "PrismRunner",
}

SMALL_JOB = 16
"""So many tasks of a stage without models aren't worth the start of local workers."""

JOB_SECONDS = 7 * 24 * 3600


class RunnerError(ValueError):
    """The runner isn't known, or can't be used as asked."""


def finished(record: TaskRecord | None, task: ShardTask) -> TaskRecord:
    """Return the record of a task that a job was to commit.

    Raises:
        RuntimeError: it isn't there, although the job came to its end.
    """
    if record is None:
        raise RuntimeError(
            f"the runner finished, but task {task.name} is not committed in {task.run}; "
            "if the run folder is on another machine, name one that workers and driver share"
        )
    return record


@dataclass(frozen=True)
class Launcher:
    """How jobs are run: a runner by our name for it, local worker processes, further Beam options, torch threads."""

    runner: str = "local"
    workers: int = 1
    options: tuple[str, ...] = ()
    torch_threads: int | None = None

    def pipeline_options(self) -> PipelineOptions:
        """Return Beam's options.

        Raises:
            RunnerError: unknown runner, or --workers with a runner that has its own option for that.
        """
        if self.runner == "dask":
            raise RunnerError("the Dask runner loses elements of RunInference pipelines; use local, flink or dataflow")
        if self.runner not in RUNNERS:
            raise RunnerError(f"unknown runner {self.runner!r}; known: {', '.join(RUNNERS)}")
        flags = [f"--runner={RUNNERS[self.runner]}", *self.options]
        if self.runner in ("portable", "flink") and not any("job_server_timeout" in flag for flag in self.options):
            # Beam's 60 s bound the streams of a job's state and messages too, and so the job
            flags.append(f"--job_server_timeout={JOB_SECONDS}")
        if self.workers > 1 and self.runner != "local":
            raise RunnerError("--workers is for --runner local; give the runner's own option after --")
        if self.workers > 1:
            flags += ["--direct_running_mode=multi_processing", f"--direct_num_workers={self.workers}"]
        return PipelineOptions(flags)

    @property
    def threads(self) -> int | None:
        """How many threads torch gets in a worker: the cores shared among local workers; None: its default."""
        if self.torch_threads:
            return self.torch_threads
        if self.runner != "local":
            return None
        return max(1, len(os.sched_getaffinity(0)) // self.workers)

    def run(self, build: Callable[[Any], Any]) -> None:
        """Run one job to its end; ``build`` gets the pipeline and wires it.

        Raises:
            KeyboardInterrupt: Ctrl-C, which Beam hands over as a RuntimeError.
            WorkerDied: a local worker process was killed.
        """
        pipeline = beam.Pipeline(options=self.pipeline_options())
        build(pipeline)
        try:
            with self._worker_processes():
                pipeline.run().wait_until_finish()
        except Exception as error:
            if interrupts.asked_by(error):
                raise KeyboardInterrupt from error
            raise
        if interrupts.received():  # whatever was under way has taken it for an error of its own, and gone on
            raise KeyboardInterrupt

    def _worker_processes(self) -> contextlib.AbstractContextManager[None]:
        if self.workers == 1:
            return contextlib.nullcontext()
        from fairshards.pipeline.run.local_workers import local_workers

        return local_workers()

    def map(self, elements: Sequence[Any], *transforms: Any, small: int = 0) -> None:
        """Run ``Create(elements) | transforms...``; nothing at all for no elements.

        Up to ``small`` elements aren't worth local worker processes, whose start costs 15 seconds.
        """
        if not elements:
            return
        if 0 < len(elements) <= small and self.workers > 1:
            replace(self, workers=1).map(elements, *transforms)
            return

        def build(pipeline: Any) -> None:
            collection = pipeline | "Tasks" >> beam.Create(list(elements), reshuffle=False)
            for transform in transforms:
                collection = collection | transform

        self.run(build)
