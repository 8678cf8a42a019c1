"""Sentence embeddings by the library sentence-transformers, to merge phrases that no word tells are one."""

from __future__ import annotations

from pathlib import Path

from fairshards.extras import check_extra
from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.phrases.phrases import Embed


def load_embedder(folder: Path, device: str = "cpu", batch_size: int = 64) -> Embed:
    """Load a sentence-transformers folder; any encoder of transformers is one too, with mean pooling.

    Raises:
        MissingExtra: the library isn't installed.
        ModelFilesError: the folder holds no such model.
    """
    check_extra("embeddings", "a model of sentence embeddings")
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
