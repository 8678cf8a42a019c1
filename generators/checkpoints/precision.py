"""Which device and number format a model runs in. Imports no torch, so that the driver can plan with it."""

from __future__ import annotations

from pathlib import Path

from fairshards.generators.checkpoints.weights import safetensors_header

DTYPES = ("float32", "float16", "bfloat16")
_SHORT = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def resolve_dtype(dtype: str, device: str, folder: Path | str) -> str:
    """Return the name of the dtype that ``dtype`` means on ``device``, once and for all workers.

    "auto" is float32 on a CPU, and on a GPU float16, or bfloat16 for weights that are stored so.

    Raises:
        ValueError: an unknown dtype, or float16 on a CPU.
    """
    name = _SHORT.get(dtype, dtype)
    on_cpu = device.partition(":")[0] == "cpu"
    if name == "auto":
        return "float32" if on_cpu else "bfloat16" if stored_as_bfloat16(Path(folder)) else "float16"
    if name not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is unknown; choose auto, {', '.join(DTYPES)}")
    if name == "float16" and on_cpu:
        raise ValueError("dtype float16 is for GPUs; on a CPU choose float32 or bfloat16")
    return name


def stored_as_bfloat16(folder: Path) -> bool:
    """Tell whether most bytes of the largest safetensors file below ``folder`` are bfloat16."""
    files = sorted(folder.rglob("*.safetensors"), key=lambda file: (file.stat().st_size, str(file)))
    if not files:
        return False
    sizes: dict[str, int] = {}
    for name, tensor in safetensors_header(files[-1]).items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            sizes[tensor["dtype"]] = sizes.get(tensor["dtype"], 0) + end - begin
    return max(sizes, key=lambda kind: sizes[kind], default="") == "BF16"
