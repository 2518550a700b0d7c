"""An HTTP server with vLLM's arguments and paths for adapters; it answers with the model's name.

Run as ``python vllm_stub.py serve MODEL --port P --served-model-name N [--lora-modules A=B ...]``.
"""

from __future__ import annotations

import argparse
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar


class Handler(BaseHTTPRequestHandler):
    """Answers for what is loaded."""

    protocol_version = "HTTP/1.1"
    models: ClassVar[dict[str, str]] = {}
    base = key = ""
    may_change = False

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._json(200, {"data": [{"id": each} for each in self.models]})
        else:
            self._json(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if self.key and self.headers.get("Authorization") != f"Bearer {self.key}":
            self._json(401, {"error": "Unauthorized"})
        elif self.path == "/v1/chat/completions":
            self._complete(body)
        elif not self.may_change:
            self._json(404, {"detail": "Not Found"})
        elif self.path == "/v1/load_lora_adapter":
            name, path = body["lora_name"], body["lora_path"]
            if not (Path(path) / "adapter_config.json").is_file():
                self._json(400, {"error": {"message": f"No adapter at {path}"}})
                return
            self.models[name] = path
            self._raw(200, f"Success: LoRA adapter '{name}' added successfully.".encode())
        elif self.path == "/v1/unload_lora_adapter":
            gone = self.models.pop(body["lora_name"], None)
            self._raw(200 if gone else 404, b"Success: removed." if gone else b"{}")

    def _complete(self, body: dict[str, Any]) -> None:
        if body["model"] not in self.models:
            self._json(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
            return
        message = {"role": "assistant", "content": f"by {body['model']}"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._json(200, {"id": "c", "object": "chat.completion", "created": 1,
                         "model": body["model"], "choices": [choice], "usage": usage})  # fmt: skip

    def _json(self, status: int, value: Any) -> None:
        self._raw(status, json.dumps(value).encode(), "application/json")

    def _raw(self, status: int, data: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("verb", choices=["serve"])
    given.add_argument("model")
    given.add_argument("--port", type=int)
    given.add_argument("--served-model-name")
    given.add_argument("--enable-lora", action="store_true")
    given.add_argument("--lora-modules", nargs="*", default=[])
    said, _ = given.parse_known_args()
    Handler.models = {said.served_model_name: said.model}
    Handler.models |= dict(each.split("=", 1) for each in said.lora_modules)
    Handler.key = os.environ.get("VLLM_API_KEY", "")
    Handler.may_change = os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING") == "1"
    ThreadingHTTPServer(("127.0.0.1", said.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
