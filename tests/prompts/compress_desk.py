"""A long prompt of the bank: rules, documents, a question."""

from __future__ import annotations

from llmops_kernel.labs import bank

DOCS = bank.documents_folder() / "shared"
FEES = (DOCS / "fees/fee-table-2026.md").read_text(encoding="utf-8")
CODES = (DOCS / "cards/decline-codes.csv").read_text(encoding="utf-8")
ABROAD = (DOCS / "payments/sending-money-abroad.md").read_text(encoding="utf-8")
METAL = (DOCS / "cards/metal-card-conditions.md").read_text(encoding="utf-8")
RULES = """You are the assistant of a bank.


- Answer from the documents only.
- Never promise a refund.
-   answer from the documents only.
- Be polite.   """
QUESTION = "What does a metal card cost on Plus?"


def prompt(question: str = QUESTION, system: str = f"{RULES}\n\n{FEES}") -> list[dict[str, str]]:
    context = (
        f'<documents>\n<document id="1" source="a">\n{ABROAD}\n</document>\n'
        f'<document id="2" source="b">\n{METAL}\n</document>\n</documents>'
    )
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": "How long is a PIN?"},
        {"role": "assistant", "content": "Four  digits."},
        {"role": "user", "content": f"{context}\n\nQuestion: {question}"},
    ]
