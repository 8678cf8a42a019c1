"""Progress with an ETA, for long work whose only trace is committed manifests."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fairshards.pipeline.run.estimate import seconds_for

POLL_SECONDS = 0.5
PLAIN_SECONDS = 15.0


@dataclass
class Reporter:
    """Draws bars on a terminal; prints a line every quarter of a minute where there is none."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    quiet: bool = False

    def say(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            self.console.print(text, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def watch(self, label: str, total: int, done: Callable[[], int]) -> Iterator[None]:
        """Show how many of ``total`` are done while the body runs, by asking ``done`` now and then."""
        if self.quiet or total <= 0:
            yield
            return
        stop = threading.Event()
        show = self._draw if self.console.is_terminal else self._print
        thread = threading.Thread(target=show, args=(label, total, done, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _draw(self, label: str, total: int, done: Callable[[], int], stop: threading.Event) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        with Progress(*columns, console=self.console, speed_estimate_period=120) as progress:
            task = progress.add_task(label, total=total, completed=done())
            while not stop.wait(POLL_SECONDS):
                progress.update(task, completed=done())
            progress.update(task, completed=done())

    def _print(self, label: str, total: int, done: Callable[[], int], stop: threading.Event) -> None:
        begin, first = time.monotonic(), done()
        while not stop.wait(PLAIN_SECONDS):
            count, seconds = done(), time.monotonic() - begin
            self.say(f"{label}: {count}/{total}, {seconds:.0f} s, {_left(total - count, count - first, seconds)}")
        self.say(f"{label}: {done()}/{total}, {time.monotonic() - begin:.1f} s")


def _left(parts: int, done: int, seconds: float) -> str:
    """Return how long ``parts`` take that are left, where ``done`` of them took ``seconds``."""
    return f"{seconds_for(parts, seconds / done):.0f} s left" if done > 0 else "no estimate yet"
