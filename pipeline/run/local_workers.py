"""Local worker processes (``--workers``), in place of Beam's own: quiet, and never left behind.

Beam waits for a worker's last task before it closes it, and for ever for one that was killed. Ours are killed where the
job has failed or was interrupted, which loses no committed work; one that dies ends the job with a sentence; and each
ends by itself when the driver is gone (``pipeline/run/worker_process.py``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]

from fairshards.pipeline.run import interrupts
from fairshards.pipeline.run.worker_process import DRIVER, LEVEL

GRACE_SECONDS = 10.0


class WorkerDied(RuntimeError):
    """A local worker process ended before its work did."""


class LocalWorkerHandler(GrpcWorkerHandler):  # type: ignore[misc]
    """Starts, watches and ends one worker process."""

    def __init__(self, command: bytes, *given: Any) -> None:
        super().__init__(*given)
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False

    def start_worker(self) -> None:
        """Start the process, in a group of its own: Ctrl-C is the driver's to handle."""
        control = self.control_api_service_descriptor()
        options = json_format.MessageToJson(self.provision_info.provision_info.pipeline_options)
        environment = {
            **os.environ,
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
            "PIPELINE_OPTIONS": options,
            "WORKER_ID": self.worker_id,
            DRIVER: str(os.getpid()),
            LEVEL: str(0 if logging.getLogger().isEnabledFor(logging.WARNING) else logging.CRITICAL),
        }
        command = [sys.executable, "-m", "fairshards.pipeline.run.worker_process"]
        self._process = subprocess.Popen(command, env=environment, process_group=0)
        _handlers.append(self)
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    def close(self) -> None:
        """End the process: at once where the job has failed, else when it has nothing more to do."""
        self._closing = True
        if self in _handlers:
            _handlers.remove(self)
        if self._process and (interrupts.received() or sys.exc_info()[0] is not None):
            self._process.kill()
        super().close()

    def stop_worker(self) -> None:
        """Wait for the process, but not for ever."""
        if self._process:
            try:
                self._process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """End the job where the process ends before its work does: its fellows, and whatever waits for an answer."""
        code = process.wait()
        if not self._closing:
            _ends.append(code)
        for other in () if self._closing else [other for other in _handlers if other is not self]:
            if other._process:
                other._process.kill()
        while not self._closing:
            for name, future in list(self.control_conn._futures_by_id.items()):
                future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=_told(code)))
            time.sleep(0.2)


_handlers: list[LocalWorkerHandler] = []
_ends: list[int] = []


@contextlib.contextmanager
def local_workers() -> Iterator[None]:
    """Let Beam's local runner start these workers in the block, in place of its own.

    Raises:
        WorkerDied: one ended before its work did, whatever Beam made of it.
    """
    WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)(LocalWorkerHandler)
    _ends.clear()
    hook = threading.excepthook
    threading.excepthook = lambda args: None if issubclass(args.exc_type, grpc.RpcError) else hook(args)
    try:
        yield
    except Exception as error:
        if _ends:
            raise WorkerDied(_told(_ends[0])) from error
        raise
    finally:
        threading.excepthook = hook


def _told(code: int) -> str:
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    ended += ", as Linux does when memory runs out" if code == -signal.SIGKILL else ""
    return (
        f"a worker process {ended}. What is committed is kept, and the same command goes on where it stopped; with "
        "fewer --workers each has more memory"
    )
