"""What may be saved of parameters and outputs."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from llmops_kernel.guard.secrets import Secrets
from llmops_kernel.runs.masking import (
    clean_message,
    clean_outputs,
    join_streams,
    mask_parameters,
    register_environment,
    strip_widgets,
)

SECRET = 'correct "horse" battery & staple'
KEY = "sk-proj-" + "Ab1" * 16
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


def test_values_with_secret_names_are_masked_at_any_depth(secrets: Secrets) -> None:
    masked = mask_parameters(
        {
            "api_key": SECRET,
            "seed": 7,
            "db": {"password": "hunter2hunter2", "host": "localhost"},
            "note": f"use {KEY} here",
            "empty_password": "",
        },
        secrets,
    )
    assert masked["api_key"] == "***"
    assert masked["seed"] == 7
    assert masked["db"] == {"password": "***", "host": "localhost"}
    assert KEY not in masked["note"]
    assert masked["note"].startswith("use ")
    assert masked["empty_password"] == ""


@pytest.mark.parametrize("seen", [SECRET, repr(SECRET), '"correct \\"horse\\" battery & staple"',
                                  "correct &quot;horse&quot; battery &amp; staple",
                                  "correct%20%22horse%22%20battery%20%26%20staple"])  # fmt: skip
def test_a_masked_value_is_redacted_in_every_form(secrets: Secrets, seen: str) -> None:
    mask_parameters({"password": SECRET}, secrets)
    shown = clean_message({"name": "stdout", "text": f"it is {seen}!"}, secrets)["text"]
    assert "horse" not in shown
    assert shown.startswith("it is ")


def test_a_stream_that_cuts_a_secret_in_two_is_read_as_one(secrets: Secrets) -> None:
    mask_parameters({"password": SECRET}, secrets)
    pieces = [SECRET[:10], SECRET[10:] + "\n", "after\n"]
    cell = new_code_cell(outputs=[new_output("stream", name="stdout", text=t) for t in pieces])
    cell.outputs.append(new_output("stream", name="stderr", text="other\n"))
    clean_outputs(cell, secrets)
    # Displays are updated by position: none may move before the run is over.
    assert [output.name for output in cell.outputs] == ["stdout"] * 3 + ["stderr"]
    join_streams(cell)
    assert [output.name for output in cell.outputs] == ["stdout", "stderr"]
    assert "horse" not in cell.outputs[0].text
    assert cell.outputs[0].text.endswith("after\n")


def test_streams_around_a_display_stay_apart(secrets: Secrets) -> None:
    cell = new_code_cell(
        outputs=[
            new_output("stream", name="stdout", text="one\n"),
            new_output("display_data", data={"text/plain": "between"}),
            new_output("stream", name="stdout", text="two\n"),
            new_output("stream", name="stdout", text="three\n"),
        ]
    )
    clean_outputs(cell, secrets)
    join_streams(cell)
    assert [output.get("text") for output in cell.outputs] == ["one\n", None, "two\nthree\n"]


def test_errors_and_bundles_lose_secrets_but_pictures_keep_every_byte(secrets: Secrets) -> None:
    picture = "iVBORw0KGgo" + KEY.replace("-", "") + "AKIA" + "A" * 16
    cell = new_code_cell(
        outputs=[
            new_output(
                "display_data",
                data={
                    "image/png": picture,
                    "text/html": f"<img src='data:image/png;base64,{picture}'> {KEY}",
                    "application/json": {"deep": [{"key": KEY}]},
                },
            ),
            new_output("error", ename="ValueError", evalue=KEY, traceback=[f"line\n{KEY}"]),
        ]
    )
    clean_outputs(cell, secrets)
    shown, error = cell.outputs
    assert shown.data["image/png"] == picture
    assert picture in shown.data["text/html"]
    assert KEY not in str(cell)
    assert error.ename == "ValueError"
    assert error.traceback[0].startswith("line\n")


def test_a_secret_is_redacted_in_parameters_that_come_before_it(secrets: Secrets) -> None:
    masked = mask_parameters({"note": f"it is {SECRET}", "password": SECRET}, secrets)
    assert masked == {"note": "it is ***", "password": "***"}


def test_variables_that_look_secret_are_redacted_unless_they_are_words(secrets: Secrets) -> None:
    environ = {"DB_PASSWORD": "postgres", "MY_TOKEN": "quite-long-token-1", "MAX_TOKENS": "x" * 20}
    register_environment(environ, secrets)
    assert secrets.redact("postgres quite-long-token-1 " + "x" * 20) == "postgres *** " + "x" * 20


def test_widgets_leave_their_fallback(secrets: Secrets) -> None:
    view = {WIDGET: {"model_id": "x"}, "text/plain": "IntSlider()"}
    assert clean_message({"data": view}, secrets)["data"] == {"text/plain": "IntSlider()"}
    alone: dict[str, Any] = {"data": {WIDGET: {"model_id": "x"}}}
    assert clean_message(alone, secrets)["data"] == {"text/plain": ""}
    book = new_notebook(metadata={"widgets": {"state": {}}, "title": "A notebook"})
    strip_widgets(book)
    assert dict(book.metadata) == {"title": "A notebook"}
