"""Train the pocket checkpoints, a command each (``--help`` lists them): ``python -m fairshards.pocket.train vae``.

Each command resumes where it was stopped. Example: ``python -m fairshards.pocket.train vae --work /tmp/pocket-train``
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from fairshards.pocket import checkpoint_path

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
Force = Annotated[bool, typer.Option("--force", help="Replace the weights that are there.")]
Work = Annotated[Path, typer.Option(help="Folder of resumable states and cached pictures, outside git.")]
Threads = Annotated[int, typer.Option(help="Torch threads.")]
DEFAULT_WORK = Path.home() / ".cache" / "fairshards" / "pocket-train"


@app.callback()
def main() -> None:
    """Train the pocket checkpoints."""


@app.command()
def vae(work: Work = DEFAULT_WORK, steps: int = 5000, threads: Threads = 2) -> None:
    """Autoencoder (f=4). Example: python -m fairshards.pocket.train vae --steps 5000"""
    from fairshards.pocket.training.train_vae import train_vae

    torch.set_num_threads(threads)
    train_vae(work, steps)


@app.command()
def oracle(work: Work = DEFAULT_WORK, steps: int = 800, threads: Threads = 2) -> None:
    """Class and background classifier. Example: python -m fairshards.pocket.train oracle"""
    from fairshards.pocket.training.train_oracle import train_oracle

    torch.set_num_threads(threads)
    train_oracle(work, steps)


@app.command()
def clip(work: Work = DEFAULT_WORK, steps: int = 500, threads: Threads = 2) -> None:
    """Contrastive model; needs the autoencoder. Example: python -m fairshards.pocket.train clip --steps 500"""
    from fairshards.pocket.training.train_clip import train_clip

    torch.set_num_threads(threads)
    train_clip(work, steps)


@app.command()
def diffusion(work: Work = DEFAULT_WORK, steps: int = 4800, second: int = 2400, threads: Threads = 2) -> None:
    """Denoiser and text encoder; needs the oracle. Example: python -m fairshards.pocket.train diffusion --steps 4800"""
    from fairshards.pocket.training.train_diffusion import train_diffusion

    torch.set_num_threads(threads)
    train_diffusion(work, steps, second)


@app.command()
def early(work: Work = DEFAULT_WORK, steps: int = 1000, threads: Threads = 2) -> None:
    """Denoiser stopped early, to try filters on. Example: python -m fairshards.pocket.train early --steps 1000"""
    from fairshards.pocket.training.train_early import train_early

    torch.set_num_threads(threads)
    print(train_early(work, steps))


@app.command()
def captioner(work: Work = DEFAULT_WORK, steps: int = 4000, threads: Threads = 2) -> None:
    """Captions of pictures; starts from pocket-clip. Example: python -m fairshards.pocket.train captioner"""
    from fairshards.pocket.training.train_captioner import train_captioner

    torch.set_num_threads(threads)
    train_captioner(work, steps)


@app.command()
def segmenter(work: Work = DEFAULT_WORK, steps: int = 1300, threads: Threads = 2) -> None:
    """Masks of phrases; starts from pocket-clip. Example: python -m fairshards.pocket.train segmenter"""
    from fairshards.pocket.training.train_segmenter import train_segmenter

    torch.set_num_threads(threads)
    train_segmenter(work, steps)


@app.command()
def extractor(
    work: Work = DEFAULT_WORK,
    steps: int = 5000,
    batch: int = 64,
    threads: Threads = 2,
    device: str = "cpu",
    workers: Annotated[int, typer.Option(help="Processes that write captions.")] = 0,
) -> None:
    """Phrases of captions, as JSON. Example: python -m fairshards.pocket.train extractor --device cuda --workers 4"""
    from fairshards.pocket.training.train_extractor import train_extractor

    torch.set_num_threads(threads)
    train_extractor(work, steps, batch, device=device, workers=workers)


@app.command()
def evaluate(work: Work = DEFAULT_WORK, each: int = 100, threads: Threads = 2) -> None:
    """Measure the goals on the committed checkpoints. Example: python -m fairshards.pocket.train evaluate --each 100"""
    from fairshards.pocket.training.evaluate import evaluate, table

    torch.set_num_threads(threads)
    typer.echo(table(evaluate(work, each)))


@app.command()
def blind(work: Work = DEFAULT_WORK, each: int = 50, threads: Threads = 2) -> None:
    """Sheets of shuffled pictures to label by eye, and their key. Example: python -m fairshards.pocket.train blind"""
    from fairshards.pocket.training.evaluate import write_blind

    torch.set_num_threads(threads)
    for sheet in write_blind(work, each):
        typer.echo(sheet)


@app.command()
def untrained(force: Force = False) -> None:
    """Write folders with random weights, for tests. Example: python -m fairshards.pocket.train untrained"""
    from fairshards.pocket.networks.export import export_untrained

    there = [name for name in ("pocket-diffusion", "pocket-clip") if checkpoint_path(name).exists()]
    if there and not force:
        typer.echo(f"error: {' and '.join(there)} would lose trained weights: give --force", err=True)
        raise typer.Exit(1)
    export_untrained()


if __name__ == "__main__":
    app()
