"""Tab completion of subcommands, flags and their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.magics._flags import Magic, declared, flags_of, verbs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from llmops_kernel.magics._session import SessionSource

# The magic's name and what stands behind it, up to the cursor; also after `answer = `.
_LINE = re.compile(r"^\s*(?:[\w.,\s]+=\s*)?(?P<name>%%?\w+)\s(?P<rest>.*)$")
# What is always there, before a session can name the models of its providers.
_BUILT_IN = ("offline/extractive", "sim/gpt-4o", "sim/gpt-4o-mini")
# What a model's name is made of; nothing that a pattern of files would read.
_PLAIN = re.compile(r"[\w.-]*")
# Magics that take several words of one kind.
_SEVERAL = ("judge_line", "judge_cell")
# Magics whose word is a fine-tuned model's name.
_TRAINED = ("finetune_line", "finetune_cell")
# Flags whose value is a variable's name.
_NAMES = ("--schema", "--examples", "--context", "--data", "--baseline")


class Completion:
    """Completes the lines of our magics, and no others.

    Args:
        shell: The shell.
        magics: The methods by what people type: ``%ask``, ``%%ask``.
        source: Where models and traces are asked for, if there is a session already.
    """

    def __init__(
        self, shell: InteractiveShell, magics: Mapping[str, Magic], source: SessionSource
    ) -> None:
        self._shell = shell
        self._magics = magics
        self._source = source
        self._matchers: list[Any] = shell.Completer.custom_matchers

        @context_matcher()  # type: ignore[untyped-decorator]
        def llmops_matcher(context: CompletionContext) -> SimpleMatcherResult:
            return self.complete(context)

        self._matcher = llmops_matcher

    def register(self) -> None:
        """Join the shell's matchers."""
        self._matchers.append(self._matcher)

    def unregister(self) -> None:
        """Leave them."""
        if self._matcher in self._matchers:
            self._matchers.remove(self._matcher)

    def complete(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what may stand at the cursor."""
        line = _LINE.match(context.text_until_cursor)
        magic = self._magics.get(line["name"]) if line else None
        if line is None or magic is None:
            return {"completions": []}  # a new one each time: the completer writes into it
        *before, word = line["rest"].split(" ")
        options = self._options(magic, [each for each in before if each], word)
        # A word may be longer than the completer's token, whose delimiters include = and :.
        cut = len(word) - len(context.token) if word.endswith(context.token) else 0
        texts = [each[cut:] for each in options if each.startswith(word) and each != word]
        if not texts and word.startswith("-"):
            texts = [context.token]  # other matchers would offer Python names behind a dash
        return {
            "completions": [SimpleCompletion(text, type="param") for text in texts],
            "suppress": bool(texts),
            "ordered": True,
        }

    def _options(self, magic: Magic, before: list[str], word: str) -> list[str]:
        verbs = verbs_of(magic)
        verb = ""
        if verbs:
            if not before and not word.startswith("-"):
                return verbs
            verb = before[0] if before and before[0] in verbs else verbs[0]
        flags = flags_of(magic, verb)
        name, attached, _ = word.partition("=")
        if attached and name in flags:
            return [f"{name}={value}" for value in self._values(name, flags)]
        if before and before[-1] in flags and flags[before[-1]].takes_value:
            return list(self._values(before[-1], flags))
        if word.startswith("-"):
            used = {name for each in before if each in flags for name in flags[each].names}
            return [name for name in flags if name not in used]
        if magic.__name__ in _SEVERAL:
            return self._judge_words(magic, verb)
        if _positional(before[bool(verb) :], flags):
            return []
        if magic.__name__ == "trace":
            return ["last", "list", *self._traces()]
        words = {name for each in declared(magic, verb) for name in each.names}
        if "index" in words:
            return self._ask_session(lambda session: session.indexes.names())
        if magic.__name__ in _TRAINED:
            return _runs(word) if words & {"run", "name"} else []
        if magic.__name__ == "serve" and "name" in words:
            from llmops_kernel.serve.record import names

            return names()
        return []

    def _values(self, flag: str, flags: Mapping[str, Any]) -> Iterable[str]:
        if flag in ("-m", "--model", "--small", "--large"):
            return self._ask_session(lambda session: session.models()) or list(_BUILT_IN)
        if flag == "--judge":
            return ["offline", *(self._values("--model", flags))]
        if flag == "--route":
            return self._ask_session(lambda session: session.routes.names())
        if flag in _NAMES:
            return self._variables()
        return [str(value) for value in flags[flag].kwds.get("choices", ())]

    def _judge_words(self, magic: Magic, verb: str) -> list[str]:
        if not any("metrics" in each.names for each in declared(magic, verb)):
            return self._variables()
        from llmops_kernel.judge.metrics import metric_names

        return metric_names()

    def _variables(self) -> list[str]:
        hidden = self._shell.user_ns_hidden
        return [name for name in self._shell.user_ns if name not in hidden and name[0] != "_"]

    def _traces(self) -> list[str]:
        return self._ask_session(lambda session: [span.trace_id for span in session.traces(20)])

    def _ask_session(self, question: Callable[[Any], list[str]]) -> list[str]:
        session = self._source.active()
        try:
            return question(session) if session is not None else []
        except LLMOpsError:  # a key press is no place for an error
            return []


def _runs(word: str) -> list[str]:
    """Return the models that have runs, the newest first; behind ``NAME/`` its runs.

    Read from the folders: importing the room of fine-tuning takes longer than a key press may.
    """
    from llmops_kernel.settings import data_home

    name, slash, _ = word.partition("/")
    if not _PLAIN.fullmatch(name):
        return []
    found = (data_home() / "finetune").glob(f"{name if slash else '*'}/*/run.json")
    newest = sorted((path.parts[-2], path.parts[-3]) for path in found)[::-1]
    return (
        [f"{name}/{run}" for run, name in newest]
        if slash
        else list(dict.fromkeys(name for _, name in newest))
    )


def _positional(words: list[str], flags: Mapping[str, Any]) -> bool:
    """Whether one of the words is neither a flag nor the value of one."""
    value = False
    for word in words:
        if not word.startswith("-") and not value:
            return True
        value = word in flags and flags[word].takes_value
    return False
