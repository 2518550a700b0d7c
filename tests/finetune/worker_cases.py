"""Cases of the worker's parts, run where torch is; prints one JSON object.

``python worker_cases.py BASE``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from llmops_kernel.finetune.worker import looking
from llmops_kernel.finetune.worker.checks import Preflight
from llmops_kernel.finetune.worker.encode import MASKED, Encoder, cut, encode_all
from llmops_kernel.finetune.worker.job import Ended
from llmops_kernel.finetune.worker.loading import four_bits

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello there"},
    {"role": "assistant", "content": "Good day"},
    {"role": "user", "content": "Fee?"},
    {"role": "assistant", "content": "Two dollars"},
]
PLAIN = (  # no marks, prefix-preserving
    "{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\n' + m['content'] }}"
    "{{- '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
REWRITES = (  # earlier answers are left out of longer conversations
    "{%- for m in messages %}{%- if m['role'] != 'assistant' or loop.last %}"
    "{{- m['role'] + ':' + m['content'] + '<|im_end|>' }}{%- endif %}{%- endfor %}"
)
NO_END = (
    "{%- for m in messages %}{{- m['role'] + ':' }}{%- if m['role'] == 'assistant' %}"
    "{%- generation %}{{- m['content'] }}{%- endgeneration %}{%- else %}{{- m['content'] }}"
    "{%- endif %}{{- '<|im_end|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- 'assistant:' }}{%- endif %}"
)
REFUSES = "{{- raise_exception('only users may speak') }}"


def without(package: str, call: Callable[[], str]) -> str:
    """Return what a call returns while a package cannot be imported."""
    there = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        return call()
    finally:
        del sys.modules[package]
        if there is not None:
            sys.modules[package] = there


def main(folder: str) -> dict[str, Any]:
    from transformers import AutoTokenizer

    def tokenizer(template: str | None = "") -> Any:
        made = AutoTokenizer.from_pretrained(folder)
        if template != "":
            made.chat_template = template
        return made

    def learnt(template: str | None, loss_on: str, chat: Any = None, **options: Any) -> str:
        used = tokenizer(template)
        encoder = Encoder(used, loss_on=loss_on, **options)
        ids, labels, _ = encoder.encode({"messages": chat or CHAT})
        assert all(label in (token, MASKED) for token, label in zip(ids, labels, strict=True))
        parts, before = "", False
        for token, label in zip(ids, labels, strict=True):
            now = label != MASKED
            parts += ("[" if now else "]") if now != before else ""
            parts += used.decode([token])
            before = now
        return parts + ("]" if before else "")

    def checked(
        template: str | None, rows: list[Any], task: str = "chat", **train: Any
    ) -> list[list[Any]]:
        used = tokenizer(template)
        job = SimpleNamespace(
            train={"loss_on": "assistant", "max_length": "auto", **train},
            run={"task": task, "preflight": {"truncated_max": 0.01, "masked_max": 0.0}},
        )
        found = Preflight()
        encoder = Encoder(used, loss_on=job.train["loss_on"])
        looking.check_template(encoder, used, found, source="mine.jinja")
        if found.stops("warn"):
            return [[c.name, c.state, c.said, c.fatal] for c in found.checks]
        whole = encode_all(encoder, rows)
        length = looking.choose_length(job, whole.lengths, 64, found)
        kept = cut(whole, length)
        looking.check_cuts(job, "train", whole, kept, found)
        looking.check_masks(job, kept, used, found)
        looking.check_ends(kept, SimpleNamespace(generation_config=None), used, found)
        return [[c.name, c.state, c.said, c.fatal] for c in found.checks]

    def refusal(call: Any) -> str:
        try:
            call()
        except Ended as ended:
            return ended.reason
        return ""

    def chat(asked: str, answer: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": asked},
                             {"role": "assistant", "content": answer}]}  # fmt: skip

    short = [chat("Hi", "Ho")] * 3
    used = tokenizer()
    text_row = {"prompt": "The fee is ", "completion": "two"}
    ids, labels, before = Encoder(used, loss_on="completion").encode(text_row)
    return {
        "marked": learnt("", "assistant"),
        "grown": learnt(PLAIN, "assistant"),
        "last": learnt(PLAIN, "completion"),
        "last_marked": learnt("", "completion"),
        "all": learnt("", "all"),
        "system": learnt("", "assistant", CHAT[1:3], system="Obey."),
        "rewrites": refusal(lambda: learnt(REWRITES, "assistant")),
        "refuses": refusal(lambda: learnt(REFUSES, "assistant")),
        "no_template": refusal(lambda: learnt(None, "assistant")),
        "text": [used.decode(ids[:before]), used.decode([x for x in labels if x != MASKED])],
        "fine": checked("", short),
        "fine_auto_length": checked("", [*short, chat("x" * 30, "y")]),
        "none": checked(None, short),
        "no_cue": checked(PLAIN.split("{%- if add")[0], short),
        "no_end": checked(NO_END, short),
        "long": checked("", [*short, chat("x" * 200, "yes")]),
        "asked_short": checked("", short, max_length=8),
        "asked_long": checked("", short, max_length=4096),
        "share": checked("", [chat("Hi", "word " * 9)] * 3),
        "share_of_text": checked(
            "", [{"prompt": "a", "completion": "word " * 9}] * 3, task="completion"
        ),
        "broken": checked("{%- for m in messages %}\n{{ m['content'] }", short),
        "no_question": checked(REFUSES, short),
        "greeting": learnt("", "assistant", [CHAT[0], CHAT[2], *CHAT[3:]]),
        "no_bitsandbytes": without("bitsandbytes", lambda: refusal(lambda: four_bits(gpu=False))),
        "all_tokens": checked("", short, loss_on="all"),
    }


if __name__ == "__main__":
    print("RESULT" + json.dumps(main(sys.argv[1])))
