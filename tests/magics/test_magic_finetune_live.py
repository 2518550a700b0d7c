"""The live view of a run: who shows it, who ends it, and its button while a cell runs.

The runs are folders as the processes of a training write them; this process stands for them.
"""

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel

from llmops_kernel.display import finetune_widget
from llmops_kernel.errors import RunFailed
from llmops_kernel.finetune.events import Journal
from llmops_kernel.finetune.facts import live_facts
from llmops_kernel.finetune.layout import RunFolder, write_json
from llmops_kernel.finetune.runs import FineTune, runs_home
from llmops_kernel.magics import _finetuning
from llmops_kernel.magics._finetuning import LiveView, WidgetView, follow
from llmops_kernel.processes import process_start

WIDGET = "application/vnd.jupyter.widget-view+json"
WAIT_S = 60


class Training:
    """A run whose processes are this one."""

    def __init__(self, name="router", run_id="20260101-120000-aaaa"):
        folder = RunFolder(runs_home() / name / run_id)
        folder.path.mkdir(parents=True)
        write_json(folder.run_json, {"method": "full", "backend_name": "trl", "limits": {}})
        folder.reserve_outcome()
        me = os.getpid()
        write_json(folder.process, {"pid": me, "start": process_start(me)})
        self.folder = folder
        self.run = FineTune(folder)
        self.journal = Journal(folder.events)
        self.journal.emit({"event": "begin"})
        self.journal.emit({"event": "train", "steps": 100, "from_step": 0})
        self.step(10)

    def step(self, number):
        self.journal.emit({"event": "step", "step": number, "steps": 100, "loss": 50 / number})

    def end(self, state="done", **more):
        self.folder.write_outcome({"state": state, **more})

    def end_when_stopped(self):
        """Do what a training does once it is asked to stop."""

        def watch():
            if until(self.folder.stop.exists):
                self.end("stopped", reason="asked", hint="%finetune resume goes on")

        threading.Thread(target=watch, daemon=True).start()


def until(holds):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


class Kernel:
    """Stands for a shell that a front end is connected to."""


@pytest.fixture
def training(workplace):
    made = Training()
    yield made
    if made.folder.read_outcome() is None:
        made.end()
    assert until(lambda: not _finetuning._following)  # no thread outlives its run
    made.journal.close()


@pytest.fixture
def outputs(shell, monkeypatch):
    """What a front end is sent: (bundle, whether it replaces an output)."""
    shell.kernel = Kernel()
    monkeypatch.setattr(InteractiveShell, "_instance", shell, raising=False)
    publisher = CapturingDisplayPublisher()
    monkeypatch.setattr(shell, "display_pub", publisher)
    return publisher.outputs


def test_a_run_is_followed_to_its_end(training, outputs):
    follower = follow(training.run)
    assert follow(training.run) is follower  # one widget, however many cells show it
    follower.show(_finetuning.training_view({"name": "router", "state": "running"}))
    assert set(outputs[0]["data"]) == {WIDGET, "text/html", "text/plain"}
    training.step(60)
    assert until(lambda: follower.widget.model.state["done"] == "Step 60 of 100 (60 %)")
    assert follower.widget.model.curves["train"][-1][0] == 60
    training.end("failed", reason="disk full")
    assert follow(training.run) is None  # what is shown now is the end, noticed by it or not
    follower.join(WAIT_S)
    assert not follower.is_alive()
    assert follower.widget.model.state["headline"] == "failed: disk full"
    last = outputs[-1]
    assert last["update"]
    assert set(last["data"]) == {"text/html", "text/plain"}  # what a saved notebook keeps
    assert last["transient"] == outputs[0]["transient"]
    assert "failed, disk full" in last["data"]["text/plain"]
    assert follower.show(_finetuning.training_view({"name": "router", "state": "x"})) is None


def test_what_a_run_costs_is_told_by_its_price_and_time(training):
    asked = {"method": "lora", "limits": {"gpu_hour_usd": "1.80"}}
    write_json(training.folder.run_json, asked)
    figures = {"estimated_usd": 0.25}
    training.journal.emit({"event": "preflight", "checks": [], "figures": figures})
    lines = [json.loads(line) for line in training.folder.events.read_text().splitlines()]
    for at, line in enumerate(lines):
        line["at"] = 1_000 + 50 * at
    training.folder.events.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    facts = live_facts(training.run)
    assert facts["elapsed_s"] == 150
    assert facts["cost"] == {"hour_usd": 1.8, "usd": pytest.approx(0.075), "whole_usd": 0.25}
    assert not facts["stop_asked"]
    training.run.stop()
    assert live_facts(training.run)["stop_asked"]


def test_it_ends_with_its_view(training, outputs):
    follower = follow(training.run)
    follower.widget.close()
    follower.join(WAIT_S)
    assert not follower.is_alive()


def test_it_ends_quietly_with_its_folder(training, outputs, capsys):
    follower = follow(training.run)
    shutil.rmtree(training.folder.path)
    follower.join(WAIT_S)
    assert not follower.is_alive()
    assert capsys.readouterr() == ("", "")
    training.folder.path.mkdir()
    training.folder.reserve_outcome()


def test_status_of_a_running_run_is_live(training, outputs, run, shell):
    result = run("%finetune status router").result
    assert result.state == "running"
    assert shell.user_ns["_"] is result
    assert WIDGET in outputs[0]["data"]
    assert "Fine-tuning router" in outputs[0]["data"]["text/plain"]
    assert outputs[0]["metadata"]["llmops"]["name"] == "router"
    shell.run_cell("_")  # the same widget once more
    assert outputs[1]["data"][WIDGET] == outputs[0]["data"][WIDGET]
    training.end()
    assert until(lambda: len(outputs) == 4)
    assert all(WIDGET not in each["data"] for each in outputs[2:])
    assert "Fine-tuning router: done" in run("%finetune status router").stdout
    assert len(outputs) == 4


def test_quiet_shows_and_follows_nothing(training, outputs, run):
    run("%finetune status router -q -o job")
    assert outputs == []
    assert _finetuning._following == {}


def test_static_mode_and_a_plain_shell_have_no_widget(training, run, shell, monkeypatch):
    assert "Fine-tuning router: running" in run("%finetune status router").stdout
    shell.kernel = Kernel()
    monkeypatch.setenv("LLMOPS_STATIC", "1")
    sys.modules["llmops_kernel.session"].set_current(None)
    assert "Fine-tuning router: running" in run("%finetune status router").stdout
    assert _finetuning._following == {}


def test_without_anywidget_the_still_picture_is_updated(training, outputs, run, monkeypatch):
    finetune_widget._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    assert "Fine-tuning router: running" in run("%finetune status router").stdout
    view = WidgetView()
    view(training.run)
    view.close()
    assert [set(each["data"]) for each in outputs] == [{"text/html", "text/plain"}, {"text/plain"}]
    assert isinstance(view._plain, LiveView)
    finetune_widget._widget_class.cache_clear()


def test_a_cell_that_waits_leaves_its_result_only(training, outputs):
    view = WidgetView()
    training.end_when_stopped()

    def press():
        until(lambda: _finetuning._following)
        widget = _finetuning._following[training.folder.path].widget
        assert "■" in widget.model.state["stop"]["silent"]
        widget.model._handle_custom_msg({"command": "stop", "run": widget.model.state["run"]}, [])

    pressing = threading.Thread(target=press)
    pressing.start()
    outcome = training.run.wait(WAIT_S, watch=view)
    view.close()
    pressing.join()
    assert outcome["state"] == "stopped"
    assert until(lambda: not _finetuning._following)
    assert WIDGET in outputs[0]["data"]
    assert outputs[-1]["data"] == {"text/plain": ""}
    assert len(outputs) == 2


def test_an_interrupted_cell_leaves_its_view_until_the_checkpoint(training, outputs, shell):
    magics = shell.magics_manager.magics["line"]["finetune"].__self__

    def interrupted(*_, **__):
        WidgetView.__call__(shown, training.run)
        raise KeyboardInterrupt

    shown = WidgetView()
    run = FineTune(training.folder)
    wait, FineTune.wait = FineTune.wait, interrupted
    try:
        with pytest.raises(KeyboardInterrupt):
            magics._watched(run, detach=False, quiet=False)
    finally:
        FineTune.wait = wait
    assert training.folder.stop.read_text() == "interrupted"
    assert WIDGET in outputs[-1]["data"]
    training.end("stopped", reason="interrupted", hint="%finetune resume goes on")
    assert until(lambda: not _finetuning._following)
    assert "%finetune resume router goes on" in outputs[-1]["data"]["text/plain"]


def test_a_stopped_run_fails_the_cell_and_says_how_to_go_on(training, outputs, shell):
    magics = shell.magics_manager.magics["line"]["finetune"].__self__
    training.end_when_stopped()
    training.run.stop()
    with pytest.raises(RunFailed):
        magics._watched(FineTune(training.folder), detach=False, quiet=False)
    assert "%finetune resume router goes on" in outputs[-1]["data"]["text/plain"]
    assert WIDGET not in outputs[-1]["data"]


CELL = """
from llmops_kernel.finetune.runs import find_run
from llmops_kernel.magics._finetuning import WidgetView
view = WidgetView()
print(find_run("router").wait(60, watch=view)["state"])
view.close()
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_button_is_heard_while_a_cell_runs(training):
    """What JupyterLab does: the message of a widget goes to a subshell of the kernel."""
    training.end_when_stopped()
    manager, client = start_new_kernel(kernel_name="python3", env={**os.environ})
    try:
        asked = client.execute(CELL)
        opened = None
        while opened is None or "run" not in opened["data"]["state"].get("state", {}):
            message = client.get_iopub_msg(timeout=WAIT_S)
            opened = message["content"] if message["msg_type"] == "comm_open" else opened
        client.control_channel.send(client.session.msg("create_subshell_request"))
        subshell = client.get_control_msg(timeout=WAIT_S)["content"]["subshell_id"]
        said = {"command": "stop", "run": opened["data"]["state"]["state"]["run"]}
        data = {"method": "custom", "content": said}
        pressed = client.session.msg("comm_msg", {"comm_id": opened["comm_id"], "data": data})
        pressed["header"]["subshell_id"] = subshell
        client.shell_channel.send(pressed)
        while True:
            reply = client.get_shell_msg(timeout=WAIT_S)
            if reply["parent_header"].get("msg_id") == asked:
                break
        assert reply["content"]["status"] == "ok", reply["content"]
        assert training.folder.stop.read_text() == "asked"
        assert json.loads(Path(training.folder.outcome).read_text())["state"] == "stopped"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
