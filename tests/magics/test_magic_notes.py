"""Recognising our refusals in other libraries' exceptions."""

import pytest

from llmops_kernel.errors import BudgetExceeded, GuardBlocked, LoopDetected, UnknownPrice
from llmops_kernel.magics.notes import explain

REFUSAL = BudgetExceeded(
    "The user cap for this day is reached",
    scope="user", window="day", book="real", limit=0, spent=0, held=0, needed=1,
    detail="worst case $0.01 of $0.00",
    hint="%budget raise 1.00",
)  # fmt: skip
SENTENCE = (
    "Stopped before anything was spent: The user cap for this day is reached. "
    "worst case $0.01 of $0.00. %budget raise 1.00."
)


class SDKError(Exception):
    """Like openai.APIStatusError: a text with the body's repr, and the body."""

    def __init__(self, refusal, with_body=True):
        body = refusal.body()
        super().__init__(f"Error code: {refusal.status} - {body}")
        self.status_code = refusal.status
        self.body = body["error"] if with_body else None


@pytest.mark.parametrize("with_body", [True, False])
def test_an_sdk_error_is_explained(with_body):
    assert explain(SDKError(REFUSAL, with_body)) == SENTENCE


def test_by_its_text_alone_as_frameworks_pass_it_on():
    text = f"APIStatusError: Error code: 402 - {REFUSAL.body()}\nTraceback: ..."
    assert explain(RuntimeError(text)) == SENTENCE


def test_by_its_message_alone_as_newer_sdks_print_it():
    text = f"Error code: 402 - {REFUSAL.body()['error']['message']}"
    assert explain(RuntimeError(text)) == SENTENCE


def chained(cause):
    try:
        try:
            raise cause
        except Exception as error:
            raise ValueError("the agent failed") from error
    except ValueError as error:
        return error


def in_context(cause):
    try:
        try:
            raise cause
        finally:
            raise KeyError("cleanup failed too")
    except KeyError as error:
        return error


@pytest.mark.parametrize("wrapped", [
    chained(SDKError(REFUSAL)),
    in_context(SDKError(REFUSAL)),
    chained(chained(SDKError(REFUSAL))),
    ExceptionGroup("tasks", [ValueError("other"), SDKError(REFUSAL)]),
    chained(ExceptionGroup("tasks", [SDKError(REFUSAL)])),
    chained(REFUSAL),
])  # fmt: skip
def test_through_causes_contexts_and_groups(wrapped):
    assert explain(wrapped) == SENTENCE


def test_a_circle_of_causes_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert explain(one) is None


@pytest.mark.parametrize("error", [None, REFUSAL, ValueError("no"), KeyboardInterrupt()])
def test_nothing_is_said_of_what_is_none_of_ours_or_shows_itself(error):
    assert explain(error) is None


def test_a_402_of_a_provider_is_none_of_ours():
    error = SDKError(REFUSAL)
    error.body = {"message": "Insufficient credits"}
    error.args = ("Error code: 402 - {'error': {'message': 'Insufficient credits'}}",)
    assert explain(error) is None


def test_only_refusals_say_that_nothing_was_spent():
    assert explain(SDKError(GuardBlocked("The guard refused the input"))) == (
        "The guard refused the input."
    )
    assert explain(SDKError(LoopDetected("A loop"))).startswith("Stopped before")


def test_without_figures_it_is_stable():
    assert explain(SDKError(REFUSAL), figures=False) == (
        "Stopped before anything was spent: A cap would be passed by this call (budget_exceeded)."
    )
    assert explain(SDKError(UnknownPrice("sim/x has no price")), figures=False) == (
        "The model's price is unknown, so no worst case can be reserved (price_unknown)."
    )
