"""The golden embedding: a picture and what the model must make of it, stored with the model.

``golden.json`` holds ``png`` (the picture, base64) and ``embedding`` (the first values of its embedding of length
1). It notices a wrong preprocessing, swapped weights, or a library that computes something else.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fairshards.generators.checkpoints.model_files import ModelFilesError
from fairshards.generators.images import decode_image

FILE = "golden.json"
TOLERANCE = 1e-3
log = logging.getLogger(__name__)


def check_golden(folder: Path, embed: Callable[[Any], npt.NDArray[np.float32]]) -> None:
    """Compare ``embed`` of the golden picture with what is stored; without a golden file nothing is checked.

    Raises:
        ModelFilesError: a value is further off than ``TOLERANCE``, or the file can't be read.
    """
    file = folder / FILE
    if not file.is_file():
        return
    try:
        golden = json.loads(file.read_text())
        expected = np.asarray(golden["embedding"], np.float32)
        png = golden.get("png")
        picture = decode_image(base64.b64decode(png)) if png else None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFilesError(f"{file} can't be read ({error}); write it again, or delete it") from error
    if picture is None:
        log.warning("%s holds no picture (png), so the model's preprocessing is not checked", file)
        return
    found = embed(picture)[: len(expected)]
    off = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
    if not off <= TOLERANCE:
        raise ModelFilesError(
            f"CLIP model in {folder} doesn't give its golden embedding: off by {off:.4f}, at most {TOLERANCE} is "
            f"allowed (got {found[:3].round(4).tolist()}, expected {expected[:3].round(4).tolist()}, ...); its "
            "preprocessing, its weights or a library have changed"
        )


def write_golden(folder: Path, png: bytes, embedding: npt.NDArray[np.float32]) -> None:
    """Store the golden picture (PNG bytes) and the beginning of its embedding in ``folder``."""
    golden = {"png": base64.b64encode(png).decode(), "embedding": [float(value) for value in embedding[:8]]}
    (folder / FILE).write_text(json.dumps(golden, indent=1) + "\n")
