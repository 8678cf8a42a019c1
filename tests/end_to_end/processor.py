"""Does this machine compute as the one that recorded? ``python -m tests.end_to_end.processor`` prints the answer's key.

The probe uses the libraries alone, none of our code: were it taken of what a run wrote, a change of ours that moves
pixels would pass for another processor.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys

from tests.end_to_end.commands import environment

LIBRARIES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "pyarrow", "duckdb", "diffusers",
    "transformers", "open_clip_torch", "fairlearn", "safetensors",
)  # fmt: skip
"""Another version of one of these may write other bytes as well as another processor may."""


def probe() -> str:
    """Return the key, computed in a process with one thread: equal keys, equal bytes."""
    command = [sys.executable, "-m", "tests.end_to_end.processor"]
    root = __file__.rsplit("/tests/", 1)[0]
    return subprocess.run(
        command, env=environment(), cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()


def _key() -> str:
    import numpy as np
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    draw = np.random.default_rng(0)
    pictures, kernels, matrix = (
        torch.from_numpy(draw.standard_normal(shape).astype(np.float32)).requires_grad_()
        for shape in ((4, 16, 32, 32), (32, 16, 3, 3), (257, 512))
    )
    hidden = functional.silu(functional.group_norm(functional.conv2d(pictures, kernels, padding=1), 8))
    queries = functional.linear(functional.layer_norm(matrix, (512,)), matrix)[None, None]
    attended = functional.gelu(functional.scaled_dot_product_attention(queries, queries, queries))
    loss = hidden.exp().clamp(max=9).mean() + attended.softmax(-1).log().tanh().mean()
    loss.backward()
    table = draw.standard_normal((300, 40))
    arrays = [hidden.detach().numpy(), attended.detach().numpy(), loss.detach().numpy(), table @ table.T, np.exp(table)]
    arrays += [tensor.grad.numpy() for tensor in (pictures, kernels, matrix)] + [np.linalg.svd(table)[1]]
    said = hashlib.sha256("".join(f"{name} {importlib.metadata.version(name)}\n" for name in LIBRARIES).encode())
    for array in arrays:
        said.update(np.ascontiguousarray(array).tobytes())
    return said.hexdigest()


if __name__ == "__main__":
    print(_key())
