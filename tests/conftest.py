"""Settings for the whole suite, made before torch is imported."""

from __future__ import annotations

import os

# OpenMP threads that spin while they wait take the cores from everything else that runs
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
