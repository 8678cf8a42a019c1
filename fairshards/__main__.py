"""The command's entry."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from fairshards.pipeline.cli.app import main as cli
    except KeyboardInterrupt:  # from here on the command line answers it (pipeline/run/interrupts.py)
        sys.exit(130)
    cli()


if __name__ == "__main__":
    main()
