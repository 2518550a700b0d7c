"""Views of serving: escaped, stable, with their figures in metadata."""

from __future__ import annotations

from llmops_kernel.display.serve import bench_view, plan_view, servers_view, started_view
from llmops_kernel.display.serve_lora import adapters_view
from llmops_kernel.serve.plan import Demand, find_gpu, find_shape, plan_serving

BAD = "<script>alert(1)</script>"
SERVER = {
    "name": BAD, "engine": "llama-server", "model": BAD, "state": "ready", "replicas": 1,
    "slots": 4, "context": 2048, "usd_per_1m": "free", "urls": [BAD], "rss": 2**25,
    "ready_s": 0.2, "fresh": True, "checked": {"probes": 2, "tokens": 0},
}  # fmt: skip
ROW = {
    "load": BAD, "requests": 4, "completeness": 0.5, "ttft_p50_s": None, "ttft_p95_s": 0.01,
    "tpot_p50_s": 0.001, "tokens_per_s": 10.0, "requests_per_s": 1.0,
}  # fmt: skip


def test_what_others_named_is_escaped() -> None:
    views = [
        servers_view([SERVER]),
        started_view(SERVER),
        bench_view({"target": BAD, "rows": [ROW], "notes": [BAD]}),
    ]
    for view in views:
        assert "<script" not in view.html
        assert "&lt;script" in view.html


def test_stable_views_leave_out_what_differs() -> None:
    for view in (servers_view([SERVER], stable=True), started_view(SERVER, stable=True)):
        assert "32 MiB" not in view.text
        assert "200 ms" not in view.text
    assert "32 MiB" in servers_view([SERVER]).text
    assert "200 ms" in started_view(SERVER).text


def test_an_empty_list_says_none() -> None:
    assert servers_view([]).text.endswith("none")


def test_a_plan_names_what_ranges_lean_on() -> None:
    plan = plan_serving(find_shape("qwen3-32b"), find_gpu("H100"), Demand(32_000))
    view = plan_view(plan.as_json())
    assert "Does not fit" in view.text
    assert "llm-d benchmark" in view.html
    assert view.metadata["llmops"]["fits"] is False


def test_adapters_are_listed_below_their_base() -> None:
    adapter = {"name": "tone", "ref": "tone@1a", "loaded": None}
    server = {**SERVER, "name": "faq", "file_type": "q8_0", "adapters": [adapter]}
    for stable in (True, False):
        text = servers_view([server], stable=stable).text
        assert "local/faq:tone" in text
        assert "q8_0" in text
    assert "adapter tone@1a" in started_view(server).text
    assert "local/faq:tone" in adapters_view(server).text
    assert "<script" not in adapters_view({**SERVER, "adapters": [{**adapter, "ref": BAD}]}).html
    assert adapters_view({**server, "adapters": []}).text == "local/faq has no adapters"


def test_a_load_test_says_what_was_kept_of_prompts() -> None:
    row = {**ROW, "prompt_tokens": 40, "cached_prompt_tokens": 30}
    bench = {"target": "local/faq", "rows": [row], "notes": []}
    assert "75%" in bench_view(bench).text
    kept = {"prompt_tokens": 90, "cached_first": 60, "cached_second": 80}
    server = {"ready_s": 0.2, "file_type": "q8_0"}
    text = bench_view({**bench, "prefix": kept, "server": server}).text
    assert "Cold start 200 ms. Weights stored as q8_0. Of 90 prompt tokens" in text
    assert "60 in a first pass and 80 in a second" in text
    assert "does not tell" in bench_view({**bench, "prefix": None}).text
