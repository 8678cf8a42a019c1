"""A real HTTP server on this machine that plays an OpenAI-compatible endpoint, well or badly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What is sent back. ``declared`` is a Content-Length that differs from the body's: the connection breaks off."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    declared: int | None = None


def says(text: str | None, finish: str = "stop", **message: Any) -> Reply:
    """A chat completion with this text."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    return Reply(json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode())


def fails(status: int, text: str = "no", **headers: str) -> Reply:
    """An error as OpenAI words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": text}}).encode(), status, headers=named)


HTML = Reply(b"<!doctype html><html><body>Please log in</body></html>", kind="text/html; charset=utf-8")
CUT = Reply(says("half an answer").body[:40], declared=400)
SLOW = Reply(says("too late").body, delay=4)


class ChatServer:
    """Replies to each request with what ``script`` returns for (its number from 0, its JSON body)."""

    def __init__(self, script: Callable[[int, Body], Reply]) -> None:
        self.script = script
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.times: list[float] = []
        self.url = ""
        self._lock = threading.Lock()

    def reply(self, body: Body, key: str | None) -> Reply:
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.keys.append(key)
            self.times.append(time.monotonic())
        return self.script(number, body)


@contextmanager
def chat_server(script: Callable[[int, Body], Reply]) -> Iterator[ChatServer]:
    """Serve until the block ends."""
    server = ChatServer(script)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = server.reply(body, self.headers.get("Authorization"))
            time.sleep(reply.delay)
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.kind, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(reply.declared or len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *args: None  # type: ignore[method-assign]  # a client that gave up on a slow reply
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def scripted(*replies: Reply) -> Callable[[int, Body], Reply]:
    """Reply with these in order, and with the last one ever after."""
    return lambda number, body: replies[min(number, len(replies) - 1)]
