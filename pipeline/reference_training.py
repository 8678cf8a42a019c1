"""The reference classifier of discovery: ERM on the real images, chosen by its worst class, so by no bias label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.progress import Reporter
from pipeline.runfolder import RunFolder
from pipeline.sourcing import SourceResult
from pipeline.training import Epochs
from trainers.settings import TrainSettings

if TYPE_CHECKING:
    from trainers.record import TrainingResult


def reference_training(
    chosen: TrainSettings, folder: RunFolder, source: SourceResult, report: Reporter
) -> TrainingResult:
    """Train the reference, or look it up; return the training's result."""
    from trainers.run import run_training

    state = Epochs(chosen.main.epochs)
    with report.watch("training the reference classifier", state.total, state.done):
        result = run_training(folder.root, chosen, folder.root / source.index, None, state.on_epoch)
        state.finish()
    return result


def rightly_predicted(
    training: Path, chosen: TrainSettings, index: Path, splits: Sequence[str]
) -> dict[str, bool]:
    """Return whether the reference gets each image of these splits right, by sample id."""
    from trainers.evaluate import predict
    from trainers.index import read_index
    from trainers.job import resolve_device
    from trainers.loaders import load_pictures
    from trainers.run import load_model

    samples = read_index(index, g=0).of(*splits)
    device, precision = resolve_device(chosen)
    model = load_model(training).to(device)
    pictures = load_pictures(samples, chosen.image_size, chosen.cache_bytes)
    predicted = predict(model, pictures, device, precision, workers=chosen.workers).tolist()
    return {sample.sample_id: answer == sample.y for sample, answer in zip(samples, predicted, strict=True)}
