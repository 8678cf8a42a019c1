"""What all model stages share: a task is its own batch under RunInference; models are loaded when a task needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from apache_beam.ml.inference.base import ModelHandler, RunInference

from fairshards.transforms.shards.task import TaskRecord

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


class StageHandler(ModelHandler[Any, TaskRecord, LazyModels[Any]]):  # type: ignore[misc]
    """Does one task after another with the models of a stage; the stage writes its own output.

    Args:
        spec: What the worker needs to load the models; plain values. Its ``hints`` are Beam resource hints for the
            stage's workers, e.g. an accelerator; a hinted stage can't fuse.
        models: The class that holds them.
        work: Does one task (a shard task, or the record of the stage before) and returns the record of its commit.
    """

    def __init__(
        self, spec: Any, models: Callable[[Any], LazyModels[Any]], work: Callable[[Any, Any], TaskRecord]
    ) -> None:
        super().__init__()
        self.spec, self.models, self.work = spec, models, work

    def load_model(self) -> LazyModels[Any]:
        """Return the models' holder; weights are read at the first task that isn't done."""
        return self.models(self.spec)

    def run_inference(
        self, batch: Sequence[Any], model: LazyModels[Any], inference_args: dict[str, Any] | None = None
    ) -> Iterable[TaskRecord]:
        """Do the one task that the batch is."""
        return [self.work(batch, model)]

    def get_resource_hints(self) -> dict[str, Any]:
        """Return the hints for the workers of this stage."""
        return dict(self.spec.hints)

    def step(self) -> RunInference:
        """Return the transform that runs the stage; Beam would batch tasks by itself otherwise."""
        return RunInference(self.with_no_batching())
