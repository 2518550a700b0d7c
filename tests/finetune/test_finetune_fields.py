"""Names of fields, right and wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import prepared, rows

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune import prepare, read_spec

if TYPE_CHECKING:
    from pathlib import Path


def test_columns_make_a_table_of_any_fields(tmp_path: Path) -> None:
    head = "utt,cls\n" + "".join(f'"{r["messages"][0]["content"]}",card\n' for r in rows(20))
    (tmp_path / "t.csv").write_text(head)
    columns = "{text: utt, label: cls}"
    spec = read_spec(f"task: classify\nbase: x\n"
                     f"data: {{path: {tmp_path / 't.csv'}, columns: {columns}}}")  # fmt: skip
    manifest = prepare(spec, tmp_path / "one")
    assert (manifest.format, manifest.train + manifest.eval) == ("csv", 20)
    assert manifest.labels.keys() == {"card"}
    spec = read_spec(f"task: classify\nbase: x\ndata: {{path: {tmp_path / 't.csv'}}}")
    with pytest.raises(UsageProblem, match="No row is left") as caught:
        prepare(spec, tmp_path / "two")
    assert "the fields are cls, utt" in caught.value.detail
    assert "data.columns" in caught.value.hint
    spec = read_spec(f"base: x\ndata: {{path: {tmp_path / 't.csv'}, "
                     "columns: {text: utr, label: cls}}")  # fmt: skip
    with pytest.raises(UsageProblem) as caught:
        prepare(spec, tmp_path / "three")
    assert "did you mean 'utt'" in caught.value.detail


def test_a_group_that_no_row_has_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    made = [{**row, "customer": f"c{n % 10}"} for n, row in enumerate(rows(30))]
    with pytest.raises(UsageProblem, match="No row is left to train on") as caught:
        prepared(tmp_path, made, group="custmer")
    assert "did you mean 'customer'" in caught.value.detail
    with pytest.raises(UsageProblem, match="in no row") as caught:
        prepared(tmp_path, [{"text": r["messages"][0]["content"], "label": "x"} for r in rows(30)],
                 columns={"system": "sistem"})  # fmt: skip
    assert "data.columns.system" in caught.value.detail


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"text": "Hi", "label": "x"}] * 2, "2 x the line is no span of a trace"),
        ([{"kind": "tool", "status": "ok"}], "no call of a model (kind: llm) among 1 spans"),
        ([{"kind": "llm", "status": "error"}], "1 x the call did not end well"),
    ],
)
def test_a_file_without_calls_has_a_reason(tmp_path: Path, lines: list[Any], said: str) -> None:
    with pytest.raises(UsageProblem, match="No row is left to train on") as caught:
        prepared(tmp_path, lines, format="traces")
    assert said in caught.value.detail
