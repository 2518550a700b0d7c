"""``%rag`` and ``%%rag`` in a real shell, on real indexes."""

import pytest
from IPython.core.formatters import DisplayFormatter

from llmops_kernel import BudgetExceeded, UsageProblem, current_session
from llmops_kernel.magics.rag_results import IndexList, IndexPage, Ingested, SearchResult
from llmops_kernel.rag.answer import RagAnswer

FEES = """---
version: 2026
---
# Fees

A replacement card costs $12 on Basic. On Plus the first one in a year is free.
"""
OLD = "---\nversion: 2025\n---\n# Fees\n\nA replacement card costs $9 on Basic.\n"
QUESTION = "What does a replacement card cost on Basic?"


@pytest.fixture
def folder(workplace):
    """Good, empty and broken files."""
    docs = workplace / "docs"
    docs.mkdir()
    (docs / "fees.md").write_text(FEES)
    (docs / "old.md").write_text(OLD)
    (docs / "cards.html").write_text("<h1>Lost cards</h1><p>Freeze it in the app at once.</p>")
    (docs / "empty.txt").write_text("")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is none")
    return docs


@pytest.fixture
def index(folder, run):
    assert run("%rag ingest bank docs -q").success
    return "bank"


def shown(shell, result):
    return DisplayFormatter(parent=shell).format(result)


def test_an_ingest_reports_what_it_could_not_read(folder, run, shell):
    done = run("%rag ingest bank docs -o report")
    assert isinstance(done.result, Ingested)
    assert shell.user_ns["report"] is done.result
    assert not done.result.ok
    assert {each.source: each.reason for each in done.result.failed} == {
        "broken.pdf": "damaged",
        "empty.txt": "empty",
    }
    assert done.result.report.added == 3
    data, metadata = shown(shell, done.result)
    assert set(data) == {"text/plain", "text/html"}
    assert "  empty.txt: empty (no bytes)" in data["text/plain"]
    assert metadata["llmops"]["added"] == 3
    again = run("%rag ingest bank docs").result.report
    assert (again.added, again.unchanged, again.embedded) == (0, 3, 0)


def test_a_folder_may_be_a_variable(folder, run, shell):
    shell.user_ns["where"] = str(folder)
    assert run("%rag ingest bank {where}/*.md").result.report.added == 2


def test_nothing_to_read_makes_no_index_and_fails_the_cell(folder, run):
    done = run("%rag ingest bank dcos")
    assert type(done.error_in_exec) is UsageProblem
    assert "dcos: unreachable" in done.error_in_exec.detail
    assert len(run("%rag").result) == 0


def test_the_list_is_the_default(index, run, shell):
    for line in ("%rag", "%rag list"):
        (entry,) = run(line).result
        assert (entry.name, entry.documents) == ("bank", 3)
    assert isinstance(run("%rag").result, IndexList)
    assert "bank" in shown(shell, run("%rag").result)[0]["text/html"]


def test_stats_in_static_mode_leave_places_out(index, run, shell, workplace):
    page = run("%rag stats bank").result
    assert isinstance(page, IndexPage)
    assert page.stats.stored == page.stats.chunks > 0
    assert str(workplace) in repr(page)
    run("%config LLMOps.static = True")
    data, metadata = shown(shell, run("%rag stats bank").result)
    assert str(workplace) not in data["text/plain"] + data["text/html"]
    assert str(workplace) in metadata["llmops"]["store"]


def test_static_output_is_the_same_each_time(folder, run, shell):
    run("%config LLMOps.static = True")
    texts = []
    for _ in range(2):
        steps = ["%rag ingest bank docs", "%rag stats bank", f"%rag search bank {QUESTION}"]
        results = [run(step) for step in steps]
        assert [each.stderr for each in results] == ["", "", ""]
        texts.append([shown(shell, each.result)[0] for each in results])
        run("%rag drop bank")
    assert texts[0] == texts[1]


def test_a_search_is_a_sequence_of_what_was_found(index, run, shell):
    result = run("%rag search bank What's the price of a replacement card?").result
    assert isinstance(result, SearchResult)
    assert {result[0].chunk.source, result[1].chunk.source} == {"fees.md", "old.md"}
    assert [each.score for each in result] == sorted((e.score for e in result), reverse=True)
    assert len(result[:2]) == 2
    data, metadata = shown(shell, result)
    assert "<table>" in data["text/html"]
    assert metadata["llmops"]["found"][0]["chunk_id"] == result[0].chunk.chunk_id
    assert metadata["llmops"]["question"] == "What's the price of a replacement card?"


@pytest.mark.parametrize(
    "line",
    [
        "bank -k 1 --filter version=2026 replacement card",
        "-k 1 --filter=version=2026 bank replacement card",
        "bank replacement card --filter 'version >= 2026' -k 1",
        "bank replacement card --filter version>2024 --filter version!=2025 --top-k 1",
    ],
)
def test_flags_may_stand_anywhere(index, run, line):
    (only,) = run(f"%rag search {line}").result
    assert only.chunk.source == "fees.md"


def test_a_search_takes_variables_and_modes(index, run, shell):
    shell.user_ns["thing"] = "replacement card"
    result = run("%rag search bank --mode bm25 {thing}").result
    assert result.question == "replacement card"
    assert {each.cosine for each in result} == {None}
    dense = run("%rag search bank --mode dense {thing}").result
    assert {each.bm25 for each in dense} == {None}


def test_a_cell_is_answered_with_citations(index, run, shell):
    done = run(f"%%rag bank -m sim/gpt-4o --filter version=2026 -o answer\n{QUESTION}")
    answer = done.result
    assert isinstance(answer, RagAnswer)
    assert shell.user_ns["answer"] is answer
    assert answer.found
    assert "$12" in answer.text
    assert [each.document for each in answer.citations] == ["fees.md"]
    data, metadata = shown(shell, answer)
    assert "[1] fees.md, Fees" in data["text/plain"]
    assert metadata["llmops"]["sources"][0]["document"] == "fees.md"
    assert metadata["llmops"]["trace_id"] == answer.trace_id
    names = [node.span.name for node in current_session().trace(answer.trace_id).children]
    assert "rag bank" in names


def test_the_footer_follows_the_settings(index, run, shell):
    def text():
        return shown(shell, run(f"%%rag bank -m sim/gpt-4o\n{QUESTION}").result)[0]["text/plain"]

    assert "tok ·" in text()
    run("%config LLMOps.static = True")
    assert "tok ·" not in text()


def test_names_are_filled_in_the_question(index, run, shell):
    shell.user_ns["plan"] = {"name": "Basic"}
    done = run('%%rag bank --filter version=2026\nWhat does a card cost on {plan["name"]}? {plam}')
    assert done.stderr == "llmops: {plam} has no value here and was taken as typed.\n"
    assert "card cost on Basic? {plam}" in asked()
    done = run("%%rag bank --raw\nWhat does a card cost on {plan}?")
    assert done.stderr == ""
    assert "card cost on {plan}?" in asked()


def asked():
    """The question of the last answer, as the trace has it."""
    nodes = [current_session().trace()]
    for node in nodes:
        if node.span.name == "rag bank":
            return node.span.input
        nodes.extend(node.children)
    raise AssertionError("no answer in the trace")


def test_documents_that_do_not_say(index, run):
    answer = run("%%rag bank\nWho won the world cup in 1998?").result
    assert not answer.found
    assert answer.citations == ()


def test_a_tenants_documents_are_behind_a_wall(index, run, workplace):
    (workplace / "deal.md").write_text("# Deal\n\nAcme pays $3 for a replacement card.\n")
    assert run("%rag ingest bank deal.md --tenant acme --prefix acme/").result.ok
    cell = "%%rag bank{}\nWhat does Acme pay for a replacement card?"
    outside, inside = run(cell.format("")).result, run(cell.format(" --tenant acme")).result
    assert "acme/deal.md" not in {each.document for each in outside.sources}
    assert "acme/deal.md" in {each.document for each in inside.sources}


def test_a_cap_for_one_call_and_rewriting(index, run):
    refused = run(f"%%rag bank -m sim/gpt-4o --max-usd 0.000001\n{QUESTION}")
    assert type(refused.error_in_exec) is BudgetExceeded
    plain = run(f"%%rag bank -m sim/gpt-4o\n{QUESTION}").result
    rewritten = run(f"%%rag bank -m sim/gpt-4o --rewrite\n{QUESTION}").result
    assert rewritten.usd > plain.usd  # one call more


def test_reindex_and_drop(index, run):
    before = run("%rag stats bank").result.stats
    page = run("%rag reindex bank --chunker sentence --size 16").result
    assert page.stats.chunks > before.chunks
    assert page.stats.chunker.startswith("sentence/")
    assert list(run("%rag drop bank").result) == []


@pytest.mark.parametrize("line", ["%rag -q -o a", "%rag -o a;", "%%rag bank -q -o a\nWhat is it?"])
def test_silenced_but_bound(index, run, shell, line):
    assert run(line).result is None
    assert shell.user_ns["a"] is not None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("%rag serch bank x", "'serch' is not a subcommand of %rag (did you mean 'search'?)"),
        ("%rag stats bnak", "There is no index 'bnak' (did you mean 'bank'?)"),
        ("%rag search bank", "%rag search needs QUESTION"),
        ("%rag ingest bank", "%rag ingest needs TARGET"),
        ("%rag search bank x --mode dens", "--mode does not take 'dens' (did you mean 'dense'?)"),
        ("%rag search bank x -k 0", "A search needs at least one result"),
        ("%rag search bank x --filter version", "'version' is not a filter"),
        ("%rag ingest bank docs --chunker token", "The index 'bank' has another chunker"),
        ("%rag drop bank --modle x", "--modle is not a flag of %rag drop"),
        ("%%rag bnak\nx", "There is no index 'bnak' (did you mean 'bank'?)"),
        ("%%rag bank", "%%rag needs a question"),
        ("%%rag bank\n  ", "%%rag needs a question"),
        ("%%rag\nWhat is it?", "%%rag needs INDEX"),
        ("%%rag bank What is it?\nx", "%%rag does not expect 'What'"),
        ("%%rag bank --budgt 3\nx", "--budgt is not a flag of %%rag (did you mean '--budget'?)"),
        ("%%rag bank --max-tokens 0\nx", "--max-tokens must be at least 1"),
    ],
)
def test_mistakes_are_two_or_three_lines(index, run, source, message):
    error = run(source).error_in_exec
    assert type(error) is UsageProblem
    assert str(error) == message
    assert 2 <= len(error._render_traceback_()) <= 3


def test_help_is_that_of_line_or_cell(run):
    line = run("%rag --help")
    assert line.success
    assert "reindex" in line.stdout
    assert "--rewrite" not in line.stdout
    cell = run("%%rag --help")
    assert cell.success
    assert "--rewrite" in cell.stdout
    assert "%%rag --help" in run("%%rag bank --budgt 3\nx").error_in_exec.hint
    assert "--diversity" in run("%rag search --help").stdout
    assert "ingest" in run("%rag?").stdout


def test_completion(index, complete_line):
    assert complete_line("%rag s") == ["%rag stats", "%rag search"]
    assert complete_line("%rag search b") == ["%rag search bank"]
    assert complete_line("%rag search -k 3 ") == ["%rag search -k 3 bank"]
    assert complete_line("%rag search bank --mo") == ["%rag search bank --mode"]
    assert complete_line("%rag search bank --mode b") == ["%rag search bank --mode bm25"]
    assert complete_line("%rag ingest bank docs --chunker sem") == [
        "%rag ingest bank docs --chunker semantic"
    ]
    assert complete_line("%%rag ") == ["%%rag bank"]
    assert complete_line("%%rag bank --re") == ["%%rag bank --rewrite"]
    assert "%%rag -m offline/extractive" in complete_line("%%rag -m off")
    assert "%rag ingest bank docs/" in complete_line("%rag ingest bank do")


@pytest.fixture
def complete_line(shell):
    """Complete at the end of a line; returns the whole line for each."""
    from IPython.core.completer import provisionalcompleter

    def texts(source):
        with provisionalcompleter():
            found = list(shell.Completer.completions(source, len(source)))
        return [source[: each.start] + each.text for each in found]

    return texts
