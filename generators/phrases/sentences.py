"""Sentence embeddings by the library sentence-transformers, to merge phrases that no word tells are one."""

from __future__ import annotations

from pathlib import Path

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.phrases.phrases import Embed


def load_embedder(folder: Path, device: str = "cpu", batch_size: int = 64) -> Embed:
    """Load a sentence-transformers folder; any encoder of transformers is one too, with mean pooling.

    Raises:
        ModelFilesError: the library isn't installed, or the folder holds no such model.
    """
    check_installed()
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelFilesError(f"{folder} can't be loaded as a model of sentence embeddings: {error}") from error
    return lambda phrases: model.encode(
        list(phrases), batch_size=batch_size, convert_to_numpy=True, show_progress_bar=False
    )


def check_installed() -> None:
    """Raise ModelFilesError where the library isn't there."""
    from importlib.util import find_spec

    if find_spec("sentence_transformers") is None:
        raise ModelFilesError(
            "discovery.merge needs the library sentence-transformers, which isn't installed: "
            "pip install 'fairshards[embeddings]', or leave discovery.merge out"
        )
