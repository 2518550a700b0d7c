"""The checks that need rows and tokenizer alone: template, masks, end tokens, lengths."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.worker.encode import MASKED, Encoder, cut, encode_all
from llmops_kernel.finetune.worker.verdict import refuse_if_fatal

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.checks import Preflight
    from llmops_kernel.finetune.worker.encode import Encoded
    from llmops_kernel.finetune.worker.job import Job

_SHOWN_ROWS = 3
_SHOWN_TOKENS = 400
_MOSTLY = 0.6  # share of learnt tokens in chats beyond which the masks are probably wrong
_OUTLIER = 2.0  # times the 99th percentile


def read_rows(job: Job, tokenizer: Any, found: Preflight) -> dict[str, Encoded]:
    """Check data and template, and return the rows of ``train`` and ``eval`` as tokens, whole.

    Raises:
        Ended: They cannot be told apart into what is learnt and what is not.
    """
    encoder = Encoder(tokenizer, loss_on=job.train["loss_on"], system=job.run["template"]["system"])
    check_data(job, found)
    if job.run["task"] != "completion":
        check_template(encoder, tokenizer, found, source=job.run["template"]["source"])
        refuse_if_fatal(job, found)
    return {name: encode_all(encoder, job.rows(name)) for name in ("train", "eval")}


def check_rows(
    job: Job, whole: dict[str, Encoded], base: Any, tokenizer: Any, found: Preflight
) -> tuple[dict[str, Encoded], int]:
    """Check lengths, masks and ends; return the rows as they are cut, and the longest allowed.

    Args:
        job: The job.
        whole: The rows as tokens.
        base: Has the ``config`` and the ``generation_config`` of the base.
        tokenizer: Its tokenizer.
        found: Takes what is found.
    """
    limit = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    length = choose_length(job, whole["train"].lengths, limit, found)
    rows = {name: cut(each, length) for name, each in whole.items()}
    for name, each in rows.items():
        if whole[name]:
            check_cuts(job, name, whole[name], each, found)
    check_masks(job, rows["train"], tokenizer, found)
    check_ends(rows["train"], base, tokenizer, found)
    return rows, length


def check_data(job: Job, found: Preflight) -> None:
    """Say what the cleaning of the data left out and found."""
    manifest = job.run["manifest"]
    dropped = manifest["dropped"]
    told = [f"{number} x {reason}" for reason, number in dropped.items()]
    if manifest["conflicts"]:
        told.append(f"{manifest['conflicts']} questions have several answers")
    kept = f"{manifest['train']} rows to train on, {manifest['eval']} to evaluate on"
    share = sum(dropped.values()) / max(manifest["read"], 1)
    state = "warn" if share > 0.2 or manifest["conflicts"] else "ok"
    found.add(
        "data", "warn" if state == "warn" else "ok",
        "Some rows are left out or contradict each other" if told else "All rows are used",
        detail="; ".join([kept, *told]),
        hint="Look at the lines in data/manifest.json" if state == "warn" else "",
    )  # fmt: skip
    # Runs that were prepared before this was counted do not have it.
    if copies := manifest.get("near_copies", 0):
        found.add(
            "split", "warn", "Rows of the evaluation nearly repeat rows of the training",
            detail=f"{copies / manifest['eval']:.0%} of the evaluation rows differ from a training "
            "row by a word or two",
            hint="data.group names what keeps rows of one template, customer or document on one "
            "side; as it is, the evaluation is too good",
        )  # fmt: skip
    if manifest["personal"] and manifest["personal_policy"] == "keep":
        told = [f"{number} x {kind}" for kind, number in manifest["personal"].items()]
        found.add(
            "personal data", "warn", "The rows hold personal data", detail="; ".join(told),
            hint="data.personal: mask or drop; a model may repeat what it was trained on",
        )  # fmt: skip


def check_template(
    encoder: Encoder, tokenizer: Any, found: Preflight, *, source: str = "tokenizer"
) -> None:
    """Check that the template can be trained with and served with."""
    template = tokenizer.chat_template
    if not template:
        found.add(
            "template", "stop", "The base has no chat template", fatal=True,
            hint="Name one with template.source, or use task: completion",
        )  # fmt: skip
        return
    text = template.get("default", "") if isinstance(template, dict) else template
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    found.figures["template_sha256"] = digest
    ask = encoder.messages({"messages": [{"role": "user", "content": "Hello"}]})
    try:
        with_cue, without = (
            tokenizer.apply_chat_template(ask, tokenize=False, add_generation_prompt=cue)
            for cue in (True, False)
        )
    except Exception as error:  # noqa: BLE001 - a template may raise whatever it likes
        where = "the base's own template" if source == "tokenizer" else source
        line = getattr(error, "lineno", None)
        found.add(
            "template", "stop",
            "The chat template cannot be read" if line else "The chat template refuses a question",
            detail=f"{where}{f', line {line}' if line else ''}: {str(error)[:400]}", fatal=True,
            hint="Correct the template, or name another with template.source",
        )  # fmt: skip
        return
    if with_cue == without:
        found.add(
            "template", "stop", "The chat template ignores add_generation_prompt",
            detail=f"template {digest}",
            hint="Served, the model would not know that it is to answer; correct the template",
        )  # fmt: skip
        return
    marks = {"none": "answers are found by what a conversation grows by"}.get(
        encoder.marks, f"answers are marked by {encoder.marks}"
    )
    found.add("template", "ok", "The chat template can be trained and served",
              detail=f"{digest}; {marks}")  # fmt: skip


def check_masks(job: Job, rows: Encoded, tokenizer: Any, found: Preflight) -> None:
    """Check what is learnt, and keep a few rows to be looked at."""
    found.view = token_view(rows, tokenizer)
    trained, tokens = rows.trained_tokens, max(rows.tokens, 1)
    share = trained / tokens
    found.figures["trained_share"] = round(share, 4)
    detail = f"{share:.0%} of {tokens:,} tokens are learnt"
    loss_on = job.train["loss_on"]
    if not trained:
        found.add(
            "labels", "stop", "Nothing is learnt: every token is masked", detail=detail, fatal=True,
            hint="Look at the roles of the messages and at train.loss_on",
        )  # fmt: skip
    elif loss_on != "all" and rows.beyond:
        found.add("labels", "stop", "Tokens of questions are learnt",
                  detail=f"{detail}, {rows.beyond:,} stand before the first answer",
                  hint="Mark answers with {% generation %} in a template of your own")  # fmt: skip
    elif loss_on != "all" and share > _MOSTLY:
        # A text's end may well be longer than its start; a chat's answers seldom are.
        chats = loss_on == "assistant" and job.run["task"] != "completion"
        found.add("labels", "stop" if chats else "warn", "Most tokens are learnt", detail=detail,
                  hint="Look at the token view: is it only answers? Where they are that long, "
                  "preflight.on_fail: warn goes on")  # fmt: skip
    else:
        found.add("labels", "ok", "Only what should be learnt is learnt", detail=detail)


def check_ends(rows: Encoded, base: Any, tokenizer: Any, found: Preflight) -> None:
    """Check that the model learns to stop, and that padding is not mistaken for it."""
    ends = end_tokens(base, tokenizer)
    last = _LastToken(tokenizer)
    without = sum(1 for labels in rows.labels if last.of(labels) not in ends)
    names = ", ".join(repr(tokenizer.decode([each])) for each in sorted(ends))
    if rows.labels and without / len(rows.labels) > 0.01:
        found.add(
            "end token", "stop", "The model would not learn to stop",
            detail=f"{without} of {len(rows.labels)} answers do not end in {names}",
            hint="The last learnt token must be an end token: correct the template or max_length",
        )  # fmt: skip
    else:
        found.add("end token", "ok", "Answers end in an end token", detail=names)
    pad = tokenizer.pad_token_id
    if pad is None or pad in ends:
        # Labels are made before padding here, so the end is learnt all the same.
        found.add(
            "padding", "ok" if pad is not None else "warn",
            "Padding uses the end token, and is never learnt" if pad is not None
            else "The tokenizer has no padding token, its end token is used",
        )  # fmt: skip


def choose_length(job: Job, lengths: list[int], limit: int | None, found: Preflight) -> int:
    """Return the tokens a row may have: what was asked for, or what the rows need."""
    ordered = sorted(lengths)
    p50, p99, longest = (_percentile(ordered, q) for q in (0.5, 0.99, 1.0))
    found.figures["lengths"] = {"p50": p50, "p99": p99, "longest": longest}
    asked = job.train["max_length"]
    if asked == "auto":
        need = longest if longest <= _OUTLIER * p99 else p99
        asked = -(-need // 8) * 8
        asked = min(asked, limit) if limit else asked
    elif limit and asked > limit:
        found.add("length", "stop", "max_length is beyond what the base can read",
                  detail=f"{asked:,} asked, {limit:,} possible",
                  hint=f"train.max_length: {limit} or less")  # fmt: skip
    found.figures["max_length"] = asked
    return int(asked)


def check_cuts(job: Job, name: str, before: Encoded, after: Encoded, found: Preflight) -> None:
    """Check how many rows lose tokens, their end, or everything that is learnt."""
    rows = len(before)
    allowed = job.run["preflight"]
    p99 = found.figures["lengths"]["p99"]
    found.figures[f"{name}_truncated"] = after.truncated
    found.figures[f"{name}_masked"] = after.masked
    told = f"{after.truncated} of {rows} {name} rows lose tokens, {after.lost_end} their end"
    hint = f"train.max_length: auto, or at least {-(-p99 // 8) * 8} (the 99th percentile)"
    if not len(after):
        found.add("truncation", "stop", f"No {name} row has anything left to learn", detail=told,
                  hint=hint, fatal=True)  # fmt: skip
        return
    if after.masked > allowed["masked_max"] * rows:
        found.add("masked rows", "stop", f"Some {name} rows have nothing left to learn",
                  detail=f"{after.masked} of {rows}", hint=hint)  # fmt: skip
    if after.truncated > allowed["truncated_max"] * rows:
        found.add("truncation", "stop", f"Too many {name} rows are cut", detail=told, hint=hint)
    elif name == "train":
        found.add("truncation", "ok", "Rows keep their tokens", detail=told)


def token_view(rows: Encoded, tokenizer: Any) -> list[dict[str, Any]]:
    """Return a few rows as tokens: ``tokens`` of ``[text, learnt]``, and how many there are."""
    order = sorted(range(len(rows)), key=lambda place: len(rows.ids[place]))
    picked = dict.fromkeys(order[:: max(len(order) // _SHOWN_ROWS, 1)][:_SHOWN_ROWS])
    view = []
    for place in picked:
        ids, labels = rows.ids[place], rows.labels[place]
        parts: list[list[Any]] = []
        for token, label in list(zip(ids, labels, strict=True))[:_SHOWN_TOKENS]:
            parts.append([tokenizer.decode([token]), label != MASKED])
        view.append(
            {"tokens": parts, "length": len(ids), "learnt": sum(x != MASKED for x in labels)}
        )
    return view


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Return the ids at which generation stops."""
    ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found = {ends} if isinstance(ends, int) else set(ends or ())
    return found | {tokenizer.eos_token_id}


class _LastToken:
    """Finds the last learnt token that is more than a line break."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._blank: dict[int, bool] = {}

    def of(self, labels: Any) -> int:
        """Return its id, or `MASKED`."""
        for label in reversed(labels):
            if label != MASKED and not self._is_blank(label):
                return int(label)
        return MASKED

    def _is_blank(self, token: int) -> bool:
        if token not in self._blank:
            self._blank[token] = not self._tokenizer.decode([token]).strip()
        return self._blank[token]


def _percentile(ordered: list[int], q: float) -> int:
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else 0
