"""A real HTTP server with llama-server's arguments that can be told to misbehave.

Run as ``python lying_server.py MODE --host H --port P [--api-key-file F] [--alias A] ...``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORDS = ["The", " fee", " is", " two", " dollars", " and", " fifty", " cents"]
ONE_AT_A_TIME = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """Answers by the mode that the program was started with."""

    protocol_version = "HTTP/1.1"
    mode, key, alias, pause = "good", "", "model", 0.002
    began = time.monotonic()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/health":
            waiting = self.mode == "never" or (
                self.mode == "slow" and time.monotonic() - self.began < 1.5
            )
            self._json(503 if waiting else 200, {"status": "loading" if waiting else "ok"})
        elif self.path == "/api/version":
            self._json(200, {"version": "0.1"})
        elif self.path == "/v1/models":
            self._json(200, {"data": [{"id": self.alias}]})
        else:
            self._json(404, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.key and self.headers.get("Authorization") != f"Bearer {self.key}":
            self._json(401, {"error": {"message": "Invalid API Key"}})
            return
        body = json.loads(raw)
        if self.path == "/apply-template":
            self._json(200, {"prompt": body["messages"][-1]["content"]})
        elif self.path == "/tokenize":
            self._json(200, {"tokens": list(body["content"].encode())})
        elif self.mode == "garbage":
            self._raw(200, b"<html>It works!</html>")
        elif self.mode == "shapeless":
            self._json(200, {"ok": True})
        elif self.mode == "dies":
            os._exit(3)
        elif self.mode == "ill":
            self._json(503, {"error": {"message": "out of memory"}})
        elif body.get("stream"):
            with ONE_AT_A_TIME if self.mode == "serial" else threading.Lock():
                self._stream()
        else:
            self._json(200, self._whole(body))

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        words = WORDS[: body.get("max_tokens") or len(WORDS)]
        finish = "stop" if len(words) == len(WORDS) else "length"
        hello = body["messages"][-1]["content"] == "Hello"
        mute = self.mode == "silent" or (self.mode == "shy" and hello)
        message = {"role": "assistant", "content": "" if mute else "".join(words)}
        usage = {
            "prompt_tokens": 7,
            "completion_tokens": len(words),
            "total_tokens": 7 + len(words),
        }
        return {"id": "c", "object": "chat.completion", "created": 1, "model": self.alias,
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": usage, "env": sorted(os.environ)}  # fmt: skip

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for number, word in enumerate(WORDS):
            if self.mode == "truncates" and number == 3 and self.server.busy() > 1:
                return  # as some servers do when a second request comes: 200, and half an answer
            self._event({"choices": [{"index": 0, "delta": {"content": word}}]})
            time.sleep(self.pause)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 7, "completion_tokens": len(WORDS), "total_tokens": 15}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: dict[str, Any]) -> None:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": self.alias}
        self.wfile.write(b"data: " + json.dumps({**head, **chunk}).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status: int, value: Any) -> None:
        self._raw(status, json.dumps(value).encode(), "application/json")

    def _raw(self, status: int, data: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Counts what it works on."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, Handler)
        self._busy, self._counting = 0, threading.Lock()

    def busy(self) -> int:
        return self._busy

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._counting:
            self._busy += 1
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._busy -= 1

    def handle_error(self, *_: Any) -> None:
        """A client that leaves is no news."""


def main() -> None:
    mode, *rest = sys.argv[1:]
    parser = argparse.ArgumentParser()
    for name in ("--host", "--port", "--api-key-file", "--alias", "--pause"):
        parser.add_argument(name)
    options, _ = parser.parse_known_args(rest)
    print("lying server: mode", mode, flush=True)
    if mode == "exits":
        print("error: the weights cannot be loaded", flush=True)
        sys.exit(1)
    if mode == "deaf":  # hangs without a port
        signal.pause()
    Handler.mode = mode
    Handler.alias = options.alias or "model"
    if options.pause:
        Handler.pause = float(options.pause)
    if options.api_key_file:
        Handler.key = Path(options.api_key_file).read_text(encoding="utf-8").strip()
    Server((options.host, int(options.port))).serve_forever()


if __name__ == "__main__":
    main()
