"""Classifies messages. Runs in the training environment: ``python -m ... JOB.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH = 64
_LONGEST = 12  # tokens of a label

Guessed = list[tuple[str, float]]


def by_words(train: Sequence[str], labels: Sequence[str], texts: Sequence[str]) -> Guessed:
    """Train TF-IDF with logistic regression, and classify texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    model = make_pipeline(
        make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
        ),
        LogisticRegression(C=20.0, max_iter=300),
    )
    model.fit(list(train), list(labels))
    return _best(model.predict_proba(list(texts)), model.classes_)


def by_vectors(
    train: Sequence[Sequence[float]],
    labels: Sequence[str],
    vectors: Sequence[Sequence[float]],
    groups: Sequence[str] | None = None,
) -> Guessed:
    """Train logistic regression on vectors, and classify others, or the same ones crosswise."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    model = LogisticRegression(C=10.0, max_iter=500)
    if groups is None:
        model.fit(np.array(train), list(labels))
        return _best(model.predict_proba(np.array(vectors)), model.classes_)
    chances = cross_val_predict(
        model, np.array(train), np.array(labels), groups=list(groups), cv=GroupKFold(5),
        method="predict_proba",
    )  # fmt: skip
    return _best(chances, np.unique(np.array(labels)))


def _best(chances: Any, names: Any) -> Guessed:
    return [(str(names[row.argmax()]), round(float(row.max()), 6)) for row in chances]


def by_model(folder: str, texts: Sequence[str], labels: Sequence[str]) -> Guessed:
    """Answer texts greedily; the confidence is the probability of the whole answer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()
    prompts = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        for text in texts
    ]
    found: Guessed = []
    for start in range(0, len(prompts), _BATCH):
        batch = tokenizer(prompts[start : start + _BATCH], return_tensors="pt", padding=True)
        for answer, confidence in _answers(model, tokenizer, batch):
            known = answer if answer in labels else ""
            found.append((known, round(confidence, 6) if known else 0.0))
    return found


def _answers(model: Any, tokenizer: Any, batch: Any) -> list[tuple[str, float]]:
    import torch

    mask, ids, past = batch["attention_mask"], batch["input_ids"], None
    count = len(ids)
    chosen: list[list[int]] = [[] for _ in range(count)]
    total, open_ = torch.zeros(count, dtype=torch.float64), torch.ones(count, dtype=torch.bool)
    with torch.no_grad():
        for _ in range(_LONGEST):
            places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            out = model(input_ids=ids, attention_mask=mask, position_ids=places,
                        past_key_values=past, use_cache=True)  # fmt: skip
            best = torch.log_softmax(out.logits[:, -1].double(), -1).max(-1)
            total += torch.where(open_, best.values, torch.zeros_like(total))
            for row in range(count):
                if open_[row] and int(best.indices[row]) != tokenizer.eos_token_id:
                    chosen[row].append(int(best.indices[row]))
            open_ &= best.indices != tokenizer.eos_token_id
            if not bool(open_.any()):
                break
            past, ids = out.past_key_values, best.indices[:, None]
            mask = torch.cat([mask, torch.ones((count, 1), dtype=mask.dtype)], -1)
    texts = tokenizer.batch_decode(chosen, skip_special_tokens=True)
    # An answer that did not end is none.
    return [
        (text.strip() if not going else "", float(value.exp()))
        for text, value, going in zip(texts, total, open_.tolist(), strict=True)
    ]


def _done(job: dict[str, Any], asked: dict[str, Any]) -> Guessed:
    if job["kind"] == "words":
        return by_words(job["train"], job["labels"], asked["test"])
    if job["kind"] == "vectors":
        return by_vectors(job["train"], job["labels"], asked["test"], job["groups"])
    return by_model(job["folder"], asked["test"], asked["intents"])


def main(path: Path) -> None:
    """Do the jobs of a file, and print the guesses as JSON."""
    asked = json.loads(path.read_text(encoding="utf-8"))
    found = [_done(job, asked) for job in asked["jobs"]]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
