"""Does an engine answer as the trained model does? Checked after export, before traffic.

A model that is right in training and wrong when served mostly has another template, a doubled or
missing BOS, or another end token. So three things are compared with what transformers said
(`export.reference`): the rendered prompt, its token ids, and greedy answers.

Works with the standard library alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import ProviderError, UsageProblem
from llmops_kernel.finetune.agreement import Check, Parity, Tally, ids_apart, texts_apart
from llmops_kernel.finetune.export.llama import Engine, find_server, llama_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Level = Literal["auto", "full", "greedy"]
_BROKEN = "\N{REPLACEMENT CHARACTER}"
_NO_ENGINE = "no llama-server to compare with (LLMOPS_LLAMA_SERVER names one)"


def read_reference(path: Path) -> dict[str, Any]:
    """Read ``reference.json``, as `export.worker` wrote it.

    Raises:
        UsageProblem: It is not there, or not of that form.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        prompts = found["prompts"]
        wanted = {"messages", "prompt", "ids", "answer_ids", "answer"}
        if not prompts or any(wanted - set(each) for each in prompts):
            raise ValueError("no prompts with their answers")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageProblem(
            "There is no reference to compare with",
            detail=f"{path.name}: {error}",
            hint="Export merged or gguf again; the reference is written beside them",
        ) from error
    return dict(found)


def compare(
    reference: Mapping[str, Any],
    url: str,
    *,
    key: str = "",
    model: str = "local",
    level: Level = "auto",
    facts: Mapping[str, Any] | None = None,
) -> Parity:
    """Compare an engine that is running with a reference.

    Args:
        reference: From `read_reference`.
        url: Where the engine is, with or without ``/v1``.
        key: Its bearer token, if it wants one.
        model: The model's name there.
        level: ``full`` asks for llama-server's ``/apply-template`` and ``/tokenize`` as well;
            ``auto`` does where they are.
        facts: Added to the result.

    Raises:
        ProviderUnreachable: Nothing answers there.
        ProviderError: It answers with an error.
        UsageProblem: ``full`` was asked of an engine that does not show tokens.
    """
    engine = Engine(url, key, model)
    shows = engine.shows_tokens() if level != "greedy" else False
    if level == "full" and not shows:
        raise UsageProblem(
            "This engine does not show its tokens", hint="Compare answers alone: level greedy"
        )
    prompts = reference["prompts"]
    most = int(reference.get("new_tokens", 24))
    checks = []
    if shows:
        checks += _compare_tokens(engine, prompts, reference.get("bos"))
        checks.append(_compare_ids(engine, prompts, most))
    # How a piece of a character is shown differs between decoders, and says nothing of the model.
    readable = [each for each in prompts if each["messages"] and _BROKEN not in each["answer"]]
    if readable:
        checks.append(_compare_texts(engine, readable, most))
    if not checks:
        raise UsageProblem(
            "There is nothing to compare with this engine",
            detail="the reference has no chat prompts with readable answers",
            hint="Give probe prompts, and export again",
        )
    return Parity(
        "llama-server" if shows else "OpenAI-compatible", "full" if shows else "greedy",
        tuple(checks), dict(facts or {}),
    )  # fmt: skip


def check_gguf(
    gguf: Path, reference: Mapping[str, Any], server: str | Path | None = None
) -> Parity:
    """Start ``llama-server`` with a GGUF file, compare it with a reference, and stop it.

    Args:
        gguf: The file.
        reference: From `read_reference`.
        server: The program (default: `find_server`).

    Raises:
        UsageProblem: There is no program.
        ProviderUnreachable: It does not start with this file.
        ProviderError: It answers with an error.
    """
    program = Path(server) if server else find_server()
    if program is None:
        raise UsageProblem(
            "There is no llama-server to compare with",
            hint="Set LLMOPS_LLAMA_SERVER to the program, or compare later with a running engine",
        )
    quantisation = gguf.stem.removeprefix("model-")
    with llama_server(gguf, program) as (url, key):
        return compare(
            reference, url, key=key, level="full",
            facts={"file": gguf.name, "quantisation": quantisation},
        )  # fmt: skip


def check_exports(
    out: Path, otherwise: Callable[[Path, Mapping[str, Any]], Parity] | None = None
) -> dict[str, Any]:
    """Compare every GGUF file of an export folder, and write ``parity.json`` there.

    Args:
        out: The folder, with ``reference.json`` and ``gguf/``.
        otherwise: Compares a file where there is no llama-server.

    Returns:
        ``ok`` (None where nothing could be compared, with a ``reason``) and ``results``, one for
        each file. A file with which no engine starts is a result that is not ok.
    """
    found: dict[str, Any] = {"ok": None, "results": []}
    files = sorted(out.glob("gguf/*.gguf"))
    program = find_server()
    if not files:
        found["reason"] = "no GGUF file was made"
    elif program is None and otherwise is None:
        found["reason"] = _NO_ENGINE
    else:
        reference = read_reference(out / "reference.json")
        for path in files:
            try:
                if program is not None:
                    result = check_gguf(path, reference, program).as_dict()
                else:
                    assert otherwise is not None
                    result = otherwise(path, reference).as_dict()
            except ProviderError as error:
                result = {"ok": False, "file": path.name, "first_difference": error.sentence()}
            except UsageProblem as problem:
                found["reason"] = f"{_NO_ENGINE}; {problem.detail or problem.message}"
                continue
            found["results"].append(result)
        if found["results"]:
            found["ok"] = all(each["ok"] for each in found["results"])
    text = json.dumps(found, ensure_ascii=False, indent=1)
    (out / "parity.json").write_text(text + "\n", encoding="utf-8")
    return found


def _compare_tokens(
    engine: Engine, prompts: Sequence[Mapping[str, Any]], bos: int | None
) -> list[Check]:
    templates, tokens, doubles = Tally("template"), Tally("token_ids"), Tally("double_bos")
    for number, each in enumerate(prompts, 1):
        text = engine.render(each["messages"]) if each["messages"] else each["prompt"]
        wanted, ids = list(each["ids"]), engine.ids(text)
        # An engine that adds BOS by itself takes it off the text: then all but the start agrees.
        same = text == each["prompt"] or (ids[:1] == [bos] and each["prompt"].endswith(text))
        templates.add("" if same else texts_apart(number, each["prompt"], text))
        tokens.add("" if ids == wanted else ids_apart(number, wanted, ids))
        doubled = bos is not None and ids[:2] == [bos, bos]
        doubles.add(f"prompt {number} begins with BOS twice" if doubled else "")
    return [templates.check(), tokens.check(), doubles.check()]


def _compare_ids(engine: Engine, prompts: Sequence[Mapping[str, Any]], most: int) -> Check:
    tally = Tally("greedy_ids")
    for number, each in enumerate(prompts, 1):
        got, wanted = engine.complete(each["ids"], most), list(each["answer_ids"])
        # Engines differ in whether the end token is among those they return.
        same = got == wanted or (bool(each.get("ended")) and got == wanted[:-1])
        tally.add("" if same else ids_apart(number, wanted, got, each.get("leads")))
    return tally.check()


def _compare_texts(engine: Engine, prompts: Sequence[Mapping[str, Any]], most: int) -> Check:
    tally = Tally("greedy_text")
    for number, each in enumerate(prompts, 1):
        # Engines trim answers at their ends, some of them always.
        got, wanted = engine.chat(each["messages"], most).strip(), each["answer"].strip()
        got = got.rstrip(_BROKEN)  # where it was cut
        tally.add("" if got == wanted else texts_apart(number, wanted, got))
    return tally.check()
