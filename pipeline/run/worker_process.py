"""A local worker process: Beam's, without its log lines, that ends when its driver is gone."""

from __future__ import annotations

import logging
import os
import threading
import time

DRIVER, LEVEL = "FAIRSHARDS_DRIVER", "FAIRSHARDS_LOG_LEVEL"
"""Variables that hold the driver's PID, and the level up to which it logs nothing."""


def main() -> None:
    """Work until the driver says that there is nothing more to do."""
    threading.Thread(target=_end_with, args=(int(os.environ[DRIVER]),), daemon=True).start()
    logging.disable(int(os.environ[LEVEL]))  # Beam sets the root logger's own level to INFO
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([])


def _end_with(driver: int) -> None:
    """End this process as soon as its parent isn't the driver any more; nothing committed is lost by that."""
    while os.getppid() == driver:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
