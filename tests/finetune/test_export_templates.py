"""Chat templates without training marks, and as Ollama's TEMPLATE."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.export.template import Render, for_serving, modelfile, turns_of

ZEPHYR = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + '</s>' }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + '</s>' }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + '</s>' }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
NO_SYSTEM = (
    "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}"
    "{% endif %}{{ '[' + m['role'] + ']' + m['content'] + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
DEFAULT_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}{{ 'S: Be kind.\\n' }}{% endif %}"
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
ALTERNATES = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + '</s>' }}{% endif %}{% endfor %}"
)
FORGETS = (
    "{% for m in messages %}{% if loop.last %}{{ m['role'] + ':' + m['content'] }}{% endif %}"
    "{% endfor %}"
)


class _Refused(Exception):
    pass


def renderer(template: str) -> Render:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)

    def refuse(message: str) -> str:
        raise _Refused(message)

    environment.globals["raise_exception"] = refuse
    compiled = environment.from_string(template)

    def render(messages: Sequence[dict[str, str]], cue: bool) -> str:
        return compiled.render(messages=messages, add_generation_prompt=cue)

    return render


@pytest.mark.parametrize("before", ["", "-", "+"])
@pytest.mark.parametrize("after", ["", "-"])
@pytest.mark.parametrize("around", ["a {0}x{1} b", "a\n{0}\nx\n{1}\nb", "a\n  {0}  x  {1}  \n b"])
def test_training_marks_go_and_the_text_stays(before: str, after: str, around: str) -> None:
    marked = around.format(
        f"{{%{before} generation {after}%}}", f"{{%{before} endgeneration {after}%}}"
    )
    as_block = marked.replace("endgeneration", "endif").replace("generation", "if true")
    served = for_serving(marked)
    assert "generation" not in served
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    assert environment.from_string(served).render() == environment.from_string(as_block).render()


def test_a_generation_cue_is_no_training_mark() -> None:
    template = "{% if add_generation_prompt %}x{% endif %}{{ 'generation' }}"
    assert for_serving(template) == template


def test_fixed_texts_are_derived() -> None:
    turns = turns_of(renderer(ZEPHYR))
    assert turns.family == "Zephyr"
    assert turns.around["user"] == ("<|user|>\n", "</s>\n")
    assert turns.around["system"] == ("<|system|>\n", "</s>\n")
    assert turns.cue == "<|assistant|>\n"


def test_a_template_without_system_messages_is_in_order() -> None:
    turns = turns_of(renderer(NO_SYSTEM))
    assert "system" not in turns.around
    assert turns.start == "<s>"
    text = modelfile(turns, "model.gguf", ["</s>", "", "</s>"])
    assert text.count("PARAMETER stop") == 1
    assert '.Role "system"' not in text


@pytest.mark.parametrize("template", [DEFAULT_SYSTEM, FORGETS, "{{ 1 / 0 }}", "constant"])
def test_other_templates_are_refused(template: str) -> None:
    with pytest.raises(UsageProblem, match="no form that a Modelfile can write"):
        turns_of(renderer(template))


def test_alternating_instructions_are_derived() -> None:
    assert turns_of(renderer(ALTERNATES)).around["assistant"] == (" ", "</s>")


def test_texts_that_go_would_read_as_code_are_refused() -> None:
    template = (
        "{% for m in messages %}{{ '{{' + m['role'] + ' ' + m['content'] + '\\n' }}{% endfor %}"
    )
    turns = turns_of(renderer(template))
    with pytest.raises(UsageProblem, match="Modelfile"):
        modelfile(turns, "model.gguf", [])


def test_stops_are_quoted() -> None:
    turns = turns_of(renderer(ZEPHYR))
    assert 'PARAMETER stop "a\\"b\\\\n\\n"' in modelfile(turns, "m.gguf", ['a"b\\n\n'])
