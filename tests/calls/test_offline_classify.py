import pytest
from offline_desk import ask, assistant, record, system, typed, user

from llmops_kernel.calls.offline.answering.classify import choose
from llmops_kernel.calls.offline.reading.examples import Example, Label, find_labels

LABELS = "card_lost, refund, fees, other"
EXAMPLES = [
    ("I cannot find my card anywhere", "card_lost"),
    ("somebody took my purse with the card", "card_lost"),
    ("the shop has not paid me back", "refund"),
    ("I returned the shoes and want my money", "refund"),
    ("what do you charge for a transfer", "fees"),
    ("is the account free of charge", "fees"),
]


def shots(count: int):
    return [turn for text, label in EXAMPLES[:count] for turn in (user(text), assistant(label))]


@pytest.mark.parametrize(
    "instruction",
    [
        f"Classify the message as one of: {LABELS}.",
        f"Classify the message into one of the following intents: {LABELS}. Answer with the label.",
        f"Which intent fits? Labels: [{LABELS}]",
        "Classify the message.\n\nLabels:\n- card_lost: the card is gone or stolen\n"
        "- refund: wants money back\n- fees: asks what we charge\n- other",
    ],
)
@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("They stole my card at the station.", "card_lost"),
        ("When do I get my refund?", "refund"),
        ("Do you charge anything for this?", "fees"),
    ],
)
def test_labels_are_read_from_the_instruction(instruction, message, wanted):
    assert ask(system(instruction), message) == wanted
    assert ask(f"{instruction}\n\nMessage: {message}") == wanted


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        (
            "Text: I love it\nLabel: pos\n\nText: I hate it\nLabel: neg\n\nText: love this\nLabel:",
            "pos",
        ),
        ("lost my card -> card_lost\nwhat is the fee -> fees\nmy card is lost ->", "card_lost"),
        (
            "Classify.\nCustomer: where is my money\nIntent: Refund request\n"
            "Customer: my card is gone\nIntent: Lost card\n\nCustomer: I want my money\nIntent:",
            "Refund request",
        ),
    ],
)
def test_examples_within_one_text(prompt, wanted):
    assert ask(prompt) == wanted


def test_examples_as_turns_decide_against_the_names_of_labels():
    # The labels say nothing; only the examples can.
    turns = [
        user("my card is gone"), assistant("Q7"), user("give me my money back"), assistant("Q9"),
        user("the card was stolen"), assistant("Q7"), user("I want a refund"), assistant("Q9"),
    ]  # fmt: skip
    assert ask(*turns, "I lost the card") == "Q7"
    assert ask(*turns, "please pay the refund") == "Q9"


def test_the_answer_has_the_form_of_the_examples():
    turns = [user("my card is gone"), assistant("Answer: card_lost"),
             user("where is my refund"), assistant("Answer: refund")]  # fmt: skip
    assert ask(*turns, "they stole my card") == "Answer: card_lost"
    thought = ask(system("Think step by step."), *turns, "they stole my card")
    assert thought.endswith("\nAnswer: card_lost")


def test_more_examples_help():
    tests = [
        ("I lost my purse and cannot find it", "card_lost"),
        ("pay me back for the shoes", "refund"),
        ("somebody took it", "card_lost"),
        ("is that transfer free?", "fees"),
    ]
    labels = [Label("card_lost"), Label("refund"), Label("fees")]

    def right(count: int) -> int:
        examples = [Example(text, label) for text, label in EXAMPLES[:count]]
        return sum(choose(text, labels, examples).label == label for text, label in tests)

    assert right(0) < right(6) == len(tests)


def test_chain_of_thought_ends_in_the_label_and_names_the_words():
    answer = ask(
        system(f"Classify the message as one of: {LABELS}. Think step by step."),
        "I had a lovely weekend. Somebody stole my card at the station. Thanks for your help.",
    )
    assert answer.split("\n")[-1] == "Answer: card_lost"
    assert "Somebody stole my card at the station." in answer


def test_reasoning_by_sentence_finds_the_request_within_a_story():
    labels = [Label("change_address"), Label("close_account"), Label("card_lost")]
    story = (
        "My account is ten years old, I opened the account with my mother, and I like the account. "
        "The address of the branch is nice. Now I want to close it."
    )
    scores = dict(choose(story, labels, by_sentence=True).ranked)
    assert set(scores) == {"change_address", "close_account", "card_lost"}
    assert choose(story, labels, by_sentence=True).label == "close_account"


@pytest.mark.parametrize(
    ("review", "wanted"),
    [
        ("I love this app, it is great.", "positive"),
        ("This is terrible, never again.", "negative"),
        ("The app is not good.", "negative"),
        ("The branch is in Oslo.", "neutral"),
    ],
)
def test_sentiment(review, wanted):
    assert ask(f"Classify the sentiment as positive, negative or neutral.\n\n{review}") == wanted


def test_multiple_choice_is_answered_from_the_text():
    prompt = (
        "A) Paris\nB) London\nC) Rome\n\nContext: The capital of Italy is Rome.\n"
        "Question: What is the capital of Italy? Choose one of the options. Answer with the letter."
    )
    assert ask(prompt) == "C"


def test_enums_are_classified_with_the_schemas_own_descriptions():
    intent = {
        "enum": ["I1", "I2"],
        "description": "I1: the card is lost or stolen; I2: the customer asks for money back",
    }
    schema = record(intent=intent)
    assert typed(schema, "They stole my card!") == {"intent": "I1"}
    assert typed(schema, "I want my money back") == {"intent": "I2"}


def test_json_examples_teach_enums_and_plain_strings():
    turns = []
    for text, label in EXAMPLES:
        turns += [user(text), assistant(f'{{"intent": "{label}"}}')]
    closed = record(intent={"enum": ["fees", "refund", "card_lost"]})
    assert typed(closed, *turns, "someone took it with my purse") == {"intent": "card_lost"}
    opened = record(intent={"type": "string"})
    assert typed(opened, *turns, "someone took it with my purse") == {"intent": "card_lost"}


def test_the_order_of_examples_does_not_matter():
    forwards = ask(*shots(6), "they never paid me back for the shoes")
    backwards = [
        t for pair in reversed(list(zip(shots(6)[::2], shots(6)[1::2], strict=True))) for t in pair
    ]
    assert forwards == ask(*backwards, "they never paid me back for the shoes") == "refund"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("as positive, negative or neutral.", ["positive", "negative", "neutral"]),
        ("either late or early", ["late", "early"]),
        ("Choose between refund and fee", ["refund", "fee"]),
        ('Options: "card lost", "card stolen"', ["card lost", "card stolen"]),
        ("(billing / cards / fraud) department (billing / cards)", ["billing", "cards"]),
        ("Pick one:\n- Billing\n- Technical issue\n", ["Billing", "Technical issue"]),
        ("You are a classifier for a bank and answer questions about cards, loans and fees.", []),
    ],
)
def test_lists_of_labels(text, names):
    assert [label.name for label in find_labels(text)] == names
