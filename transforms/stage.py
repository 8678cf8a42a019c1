"""What all model stages share: a task is its own batch under RunInference, committed once and then only looked up.

A stage declares its models' holder and its names, and gives ``work``: from a task that isn't committed to what is to be
committed. Finding, locking, loading, timing and committing are here and in ``shards.commit``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference

from fairshards.transforms.shards.commit import Made
from fairshards.transforms.shards.open_task import OpenTask, finish
from fairshards.transforms.shards.task import ShardTask, TaskRecord, following

Spec = TypeVar("Spec")


class LazyModels(Generic[Spec]):
    """Holds a stage's models, which subclasses load at first use, so that a bundle of finished tasks loads nothing.

    The threads of a worker process share it. ``lock`` is held for a whole task, loading included: a scheduler
    follows one sampling run at a time. It is made on the worker and never pickled.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.lock = threading.Lock()


def use_threads(count: int | None) -> None:
    """Let torch use ``count`` threads in this process; None leaves it as it is."""
    if count:
        import torch

        torch.set_num_threads(count)


class ModelStage(beam.PTransform, Generic[Spec]):  # type: ignore[misc]
    """PCollection of tasks, or of the stage before's records -> PCollection[TaskRecord]; a task is committed once.

    Args:
        spec: What the worker needs to load the models, plain values: its ``stage_fingerprint`` is the stage's, its
            ``hints`` are Beam resource hints for the stage's workers, e.g. an accelerator; a hinted stage can't fuse.

    Attributes:
        stage, folder: Its name in manifests, and where in the run folder it commits.
        models: The class that holds its models.
        elements, title: What its two steps are called: "Spread the <elements>", and what it does.
    """

    stage: ClassVar[str]
    folder: ClassVar[str]
    models: ClassVar[type[LazyModels[Any]]]
    elements: ClassVar[str] = "tasks"
    title: ClassVar[str]

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    @classmethod
    def task_of(cls, element: ShardTask | TaskRecord, spec: Any) -> ShardTask:
        """Return an element's task: its own, or the one that goes on with what the stage before has committed."""
        if isinstance(element, ShardTask):
            return element
        return following(element, cls.stage, cls.folder, spec.stage_fingerprint)

    @staticmethod
    def work(todo: OpenTask, models: Any) -> Made:
        """Do one task with the loaded models.

        Raises:
            Exception: whatever the machine or a model raises (memory, disk, weights); never a bad sample, which
                becomes a reject row.
        """
        raise NotImplementedError

    @classmethod
    def do(cls, element: ShardTask | TaskRecord, models: LazyModels[Any]) -> TaskRecord:
        """Do and commit an element's task; a finished task is only looked up, and loads nothing."""
        before = element if isinstance(element, TaskRecord) else None
        todo = OpenTask(cls.task_of(element, models.spec), before)
        return finish(todo, models.spec.stage_fingerprint, lambda open_task: cls.work(open_task, models), models.lock)

    def expand(self, elements: Any) -> Any:
        """Wire the two steps; the Reshuffle lets this stage have other workers than the one before."""
        handler = StageHandler(type(self), self.spec)
        return elements | f"Spread the {self.elements}" >> beam.Reshuffle() | self.title >> handler.step()


class StageHandler(ModelHandler[Any, TaskRecord, LazyModels[Any]]):  # type: ignore[misc]
    """Does one task after another by a stage, which writes its own output."""

    def __init__(self, stage: type[ModelStage[Any]], spec: Any) -> None:
        super().__init__()
        self.stage, self.spec = stage, spec

    def load_model(self) -> LazyModels[Any]:
        """Return the models' holder; weights are read at the first task that isn't done."""
        return self.stage.models(self.spec)

    def run_inference(
        self, batch: Sequence[Any], model: LazyModels[Any], inference_args: dict[str, Any] | None = None
    ) -> Iterable[TaskRecord]:
        """Do the one task that the batch is."""
        return [self.stage.do(batch, model)]  # type: ignore[arg-type]

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the hints for the workers of this stage."""
        return dict(self.spec.hints)

    def step(self) -> RunInference:
        """Return the transform that runs the stage; Beam would batch tasks by itself otherwise."""
        return RunInference(self.with_no_batching())
