"""The pocket world: a small rendered benchmark and the small checkpoints that were trained on it.

Others use ``checkpoint_path``, and ``world.write_world`` for a dataset; ``scenes`` says what there is to draw.
"""

from importlib.resources import files
from pathlib import Path

CHECKPOINTS = ("pocket-diffusion", "pocket-clip", "oracle", "pocket-captioner", "pocket-segmenter", "pocket-extractor")


def checkpoint_path(name: str) -> Path:
    """Folder of a committed checkpoint, one of ``CHECKPOINTS``.

    Raises KeyError for an unknown name. The package must be installed unpacked (wheels always are).
    """
    if name not in CHECKPOINTS:
        raise KeyError(f"no pocket checkpoint {name!r}; there are {', '.join(CHECKPOINTS)}")
    return Path(str(files("fairshards.pocket"))) / "checkpoints" / name
