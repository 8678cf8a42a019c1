"""A person who looks at a catalog with a tool of their own: another process that holds the file."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HOLDER = (
    "import sys, duckdb\n"
    "with duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'read') as con:\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@contextlib.contextmanager
def held(catalog: Path, mode: str = "read") -> Iterator[subprocess.Popen[str]]:
    """Hold the file in "read" or "write" mode until the block ends, or the process's stdin is closed."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(catalog), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None and child.stdout is not None
    try:
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()
