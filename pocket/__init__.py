"""The pocket world: a small rendered benchmark and the small checkpoints that were trained on it."""

from importlib.resources import files
from pathlib import Path

CHECKPOINTS = ("pocket-diffusion", "pocket-clip", "oracle")


def checkpoint_path(name: str) -> Path:
    """Folder of a committed checkpoint: "pocket-diffusion", "pocket-clip" or "oracle".

    Raises KeyError for an unknown name. The package must be installed unpacked (wheels always are).
    """
    if name not in CHECKPOINTS:
        raise KeyError(f"no pocket checkpoint {name!r}; there are {', '.join(CHECKPOINTS)}")
    return Path(str(files("pocket"))) / "checkpoints" / name
