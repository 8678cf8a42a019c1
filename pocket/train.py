"""Command line of the pocket trainings: ``python -m pocket.train vae|oracle|clip|diffusion|evaluate``.

Each command resumes where it was stopped. Example: ``python -m pocket.train vae --work ~/.cache/fairshards/pocket-train``
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
Work = Annotated[Path, typer.Option(help="Folder of resumable states and cached pictures, outside git.")]
Threads = Annotated[int, typer.Option(help="Torch threads.")]
DEFAULT_WORK = Path.home() / ".cache" / "fairshards" / "pocket-train"


@app.callback()
def main() -> None:
    """Train the pocket checkpoints."""


@app.command()
def vae(work: Work = DEFAULT_WORK, steps: int = 5000, threads: Threads = 2) -> None:
    """Autoencoder (f=4). Example: python -m pocket.train vae --steps 5000"""
    from pocket.train_vae import train_vae

    torch.set_num_threads(threads)
    train_vae(work, steps)


if __name__ == "__main__":
    app()
