"""``llmops gateway`` as other programs meet it."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from llmops_kernel.cli import main
from llmops_kernel.settings import Settings
from llmops_kernel.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CHAT = {
    "model": "sim/gpt-4o",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "What is a ledger?"}],
}


@contextmanager
def gateway(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "llmops_kernel.cli", "gateway", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(file: Path, process: subprocess.Popen[str]) -> dict[str, str]:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def post(env: dict[str, str], body: dict[str, Any], token: str) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{env['OPENAI_BASE_URL']}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with DIRECT.open(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _status(request: urllib.request.Request) -> int:
    try:
        with DIRECT.open(request, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_teams_gateway_knows_its_names_and_its_users(tmp_path: Path) -> None:
    file = tmp_path / "gateway.env"
    flags = ["--env-file", str(file), "--allow-host", "llm.team.example", "--trust-user"]
    with gateway(tmp_path, *flags) as process:
        env = wait_for(file, process)
        for host, expected in (("llm.team.example", 200), ("elsewhere.example", 403)):
            request = urllib.request.Request(
                f"{env['OPENAI_BASE_URL']}/chat/completions",
                data=json.dumps(CHAT).encode(),
                headers={
                    "Authorization": f"Bearer {env['OPENAI_API_KEY']}",
                    "Content-Type": "application/json",
                    "Host": host,
                    "x-llmops-user": "ada",
                },
            )
            assert _status(request) == expected
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    store = open_store(Settings.load().store)
    assert store.read("SELECT DISTINCT user_name FROM event") == [("ada",)]
    store.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "gateway.env"
    with gateway(tmp_path, "--port", "0", "--env-file", str(file)) as process:
        env = wait_for(file, process)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(env) == {"OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_KEY"}
        # The file is only written once requests are answered.
        status, reply = post(env, CHAT, env["OPENAI_API_KEY"])
        assert (status, reply["object"]) == (200, "chat.completion")
        assert post(env, CHAT, "wrong")[0] == 401
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == [f"export {name}={value}" for name, value in env.items()]
    assert not file.exists()


def test_a_stream_in_flight_is_settled_when_it_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gateway.env"
    with gateway(tmp_path, "--env-file", str(file)) as process:
        env = wait_for(file, process)
        request = urllib.request.Request(
            f"{env['OPENAI_BASE_URL']}/chat/completions",
            data=json.dumps({**CHAT, "stream": True, "max_tokens": 400}).encode(),
            headers={"Authorization": f"Bearer {env['OPENAI_API_KEY']}"},
        )
        with DIRECT.open(request, timeout=30) as reply:
            assert reply.readline().startswith(b"data: ")
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["budget", "--json"]) == 0
    caps = json.loads(capsys.readouterr().out)["caps"]
    assert {cap["held"] for cap in caps} == {"0"}
    assert main(["budget", "history", "--json"]) == 0
    kinds = [event["kind"] for event in json.loads(capsys.readouterr().out)["events"]]
    assert kinds == ["settle", "reserve"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "--port is out of range"),
        (["--env-file", "none/here.env"], "The folder of --env-file does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_it_starts(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gateway", *arguments]) == 1
    assert said in capsys.readouterr().err
