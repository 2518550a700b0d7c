"""The case: its parts by themselves, and a small day through real sessions."""

from __future__ import annotations

import itertools
import random

import pytest

from llmops_kernel import Session, UsageProblem
from llmops_kernel.calls.prices import find_price
from llmops_kernel.calls.usage import Usage
from llmops_kernel.labs import bank, traffic
from llmops_kernel.labs.casestudy.article import claims
from llmops_kernel.labs.casestudy.desk import Desk, plain_question, system_prompt
from llmops_kernel.labs.casestudy.figures import (
    difference,
    figures,
    non_inferior,
    percentile,
    waterfall,
)
from llmops_kernel.labs.casestudy.levers import (
    CACHE,
    COMPRESSION,
    LEVERS,
    MARGIN,
    PREFIX,
    ROUTING,
    Means,
    checked,
    play_of,
    plays_needed,
)
from llmops_kernel.labs.casestudy.play import play, priced, with_prompt_cache
from llmops_kernel.labs.casestudy.prefix import PrefixCache, prefixes_of, with_cached
from llmops_kernel.labs.casestudy.prepare import shortest_accepted, try_compressors
from llmops_kernel.labs.casestudy.quality import WEAKNESS, holds, is_beyond_small, reachable
from llmops_kernel.labs.casestudy.shapley import coalitions, shapley
from llmops_kernel.prompts.compress import Compressor, move_tables
from llmops_kernel.settings import RouteSettings, RuleSettings

QUESTIONS = bank.questions()
ANSWERS = {each.id: each.answer for each in QUESTIONS}
NONE: frozenset[str] = frozenset()


# ---- sharing out what is saved ------------------------------------------------------------------


def test_shapley_is_the_mean_over_all_orders():
    names = ("a", "b", "c")
    draw = random.Random(1)
    worth = {each: draw.random() if each else 0.0 for each in coalitions(names)}
    found = shapley(names, worth)
    for name in names:
        gains = []
        for order in itertools.permutations(names):
            before = frozenset(order[: order.index(name)])
            gains.append(worth[before | {name}] - worth[before])
        assert found[name] == pytest.approx(sum(gains) / len(gains))
    assert sum(found.values()) == pytest.approx(worth[frozenset(names)])


def test_levers_that_multiply_do_not_add_up():
    kept = {"a": 0.68, "b": 0.76, "c": 0.72}  # of the bill, each lever alone
    cost = {}
    for each in coalitions(tuple(kept)):
        cost[each] = 1.0
        for lever in each:
            cost[each] *= kept[lever]
    shares = waterfall(tuple(kept), cost)
    assert sum(1 - each for each in kept.values()) == pytest.approx(0.84)
    assert sum(shares.values()) == pytest.approx(1 - 0.68 * 0.76 * 0.72)  # 0.63, not 0.84


def test_a_lever_that_does_nothing_gets_nothing():
    worth = {each: float("a" in each) for each in coalitions(("a", "b"))}
    assert shapley(("a", "b"), worth) == {"a": 1.0, "b": 0.0}


def test_a_missing_set_is_named():
    with pytest.raises(UsageProblem, match="is missing"):
        shapley(("a", "b"), {NONE: 0.0})


def test_which_plays_are_needed():
    needed = plays_needed()
    assert len(needed) == 8
    assert all(PREFIX not in each and MARGIN not in each for each in needed)
    for each in coalitions(LEVERS):
        assert play_of(each, needed) in needed
    assert checked([CACHE]) == {CACHE}
    with pytest.raises(UsageProblem, match="no lever"):
        checked(["cash"])


# ---- a provider's prompt cache ------------------------------------------------------------------


def test_a_long_prefix_is_read_again_for_less_and_only_for_a_while():
    system = {"role": "system", "content": "A rule of the house. " * 400}
    prompt = [system, {"role": "user", "content": "x"}]
    found = prefixes_of(prompt[:-1])
    assert len(found) == 1
    assert found[0][1] > 1_024
    cache = PrefixCache()
    assert cache.read("m", found, 0.0) == 0
    cached = cache.read("m", found, 299.0)
    assert cached % 128 == 0
    assert 0 <= found[0][1] - cached < 128
    assert cache.read("n", found, 300.0) == 0  # another model's cache is another cache
    assert cache.read("m", found, 600.0) == 0


def test_short_prefixes_and_other_prefixes_are_not_cached():
    short = prefixes_of([{"role": "system", "content": "Be kind."}])
    assert short == ()
    long = "A rule of the house. " * 400
    one = prefixes_of([{"role": "system", "content": long}])
    two = prefixes_of([{"role": "system", "content": f"{long}!"}])
    cache = PrefixCache()
    cache.read("m", one, 0.0)
    assert cache.read("m", two, 1.0) == 0


def test_cached_tokens_cost_what_the_price_list_says():
    price = find_price("", "gpt-4o")
    usage = Usage(4_000, 100)
    plain, cheaper = price.cost(usage), price.cost(with_cached(usage, 3_072))
    assert plain == 4_000 * 2_500 + 100 * 10_000  # nano-dollars
    assert plain - cheaper == 3_072 * 1_250
    assert with_cached(usage, 9_999).cached_tokens == 4_000


# ---- quality ------------------------------------------------------------------------------------


def test_the_fact_check_knows_right_from_wrong():
    facts = [each for each in QUESTIONS if each.key_facts]
    right = sum(holds(each, each.answer) for each in facts) / len(facts)
    draw = random.Random(3)
    pairs = [(each, draw.choice(facts)) for each in facts]
    others = [(a, b) for a, b in pairs if a.answer != b.answer]
    wrong = sum(holds(a, b.answer) for a, b in others) / len(others)
    assert right > 0.97
    assert wrong < 0.02


def test_near_misses_do_not_pass_for_each_other():
    groups: dict[str, list[bank.Question]] = {}
    for each in QUESTIONS:
        if each.kind == "near_miss":
            groups.setdefault(each.group, []).append(each)
    pairs = [(a, b) for g in groups.values() for a in g for b in g if a.answer != b.answer]
    assert len(pairs) > 50
    assert sum(holds(a, b.answer) for a, b in pairs) <= 2


def test_facts_must_stand_in_a_prompt_as_the_documents_say_them():
    question = next(each for each in QUESTIONS if each.key_facts == ("60 days", "next day"))
    quote = question.gold[0].quote
    assert reachable(question, f"Something else first. {quote} And something after it.")
    assert not reachable(question, "It took 60 days. You may come the next day.")
    assert not reachable(question, quote.replace("60", "90"))
    refused = next(each for each in QUESTIONS if not each.key_facts)
    assert reachable(refused, "")
    assert holds(refused, "The documents do not say.")
    assert not holds(refused, "It costs $4.")


def test_every_question_is_answerable_from_its_own_passages():
    answerable = [each for each in QUESTIONS if each.key_facts]
    found = sum(reachable(each, "\n".join(g.quote for g in each.gold)) for each in answerable)
    assert found > 0.97 * len(answerable)


def test_the_declared_weakness_is_what_it_says():
    for kind, share in WEAKNESS.items():
        chosen = [each for each in QUESTIONS if each.kind == kind]
        beyond = sum(map(is_beyond_small, chosen))
        assert abs(beyond / len(chosen) - share) < 0.12
        assert all(is_beyond_small(each, 3.0) for each in chosen if is_beyond_small(each))


# ---- the desk -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        "hi, What does it cost?",
        "WHAT DOES IT COST",
        "what does it cost ??",
        "Hey, What does it cost?",
        "What does it cost? thx",
        "Good morning. What does it cost? Thank you!",
        "hi!! what does it cost",
    ],
)
def test_a_search_does_not_see_the_greeting(typed):
    assert plain_question(typed) == "what does it cost"


def test_the_system_prompt_has_repetition_and_tables_to_remove():
    prompt = system_prompt()
    _, moved = move_tables(prompt)
    assert len(moved) >= 7
    made = Compressor(tables=True).compress([{"role": "system", "content": prompt}], "", stable=1)
    assert made.after < made.before / 3
    assert "freeze the card in the app and call us" in made.messages[0]["content"]
    assert made.messages[0]["content"].count("Never promise a refund") == 1


# ---- a day --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_desk(tmp_path_factory):
    """A desk over two of the bank's folders, and a small day about them."""
    session = Session(store=f"sqlite:///{tmp_path_factory.mktemp('desk') / 'desk.db'}")
    asked = [
        each
        for each in QUESTIONS
        if each.gold
        and all(g.source.startswith(("shared/cards", "shared/fees")) for g in each.gold)
    ]
    rates = traffic.Rates(
        again=0.1, repeat=0.15, near_miss=0, tenant=0, unanswerable=0, injection=0, paraphrase=0.1
    )
    day = traffic.draw_day(40, seed=5, rates=rates, questions=asked)
    yield Desk(session, areas=("cards", "fees")), day
    session.close()


@pytest.fixture(scope="module")
def means():
    rules = (RuleSettings(model="sim/gpt-4o-mini", pattern="card"),)
    route = RouteSettings(kind="rules", model="sim/gpt-4o", rules=rules)
    return Means(Compressor(tables=True), route)


@pytest.fixture(scope="module")
def plays(small_desk, means):
    desk, day = small_desk
    return {
        chosen: play(day, desk, chosen, means)
        for chosen in (NONE, frozenset({CACHE}), frozenset({CACHE, ROUTING, COMPRESSION}))
    }


def test_hits_cost_nothing_and_serve_what_was_answered(plays):
    before, cached = plays[NONE], plays[frozenset({CACHE})]
    assert not any(each.hit for each in before)
    hits = [each for each in cached if each.hit]
    assert hits
    assert {each.tier for each in hits} <= {"exact", "near_verbatim"}
    assert all(each.cost_nano == 0 for each in hits)
    by_text = {each.request.text: each for each in before}
    for each in cached:
        if each.tier in ("", "exact"):
            assert each.text == by_text[each.request.text].text
            assert each.source == each.request.question_id
    for each, plain in zip(cached, before, strict=True):
        assert each.hit or each.cost_nano == plain.cost_nano


def test_a_play_is_the_same_every_time(small_desk, means, plays):
    desk, day = small_desk
    chosen = frozenset({CACHE, ROUTING, COMPRESSION})
    again = play(day, desk, chosen, means)
    for one, other in zip(plays[chosen], again, strict=True):
        assert (one.text, one.tier, one.cost_nano, one.told) == (
            other.text, other.tier, other.cost_nano, other.told,
        )  # fmt: skip


def test_routing_and_compression_make_calls_cheaper(plays):
    before, after = plays[NONE], plays[frozenset({CACHE, ROUTING, COMPRESSION})]
    assert {each.model for each in after} == {"sim/gpt-4o", "sim/gpt-4o-mini"}
    sent = [(a, b) for a, b in zip(before, after, strict=True) if not b.hit]
    assert all(b.cost_nano < a.cost_nano for a, b in sent)
    assert all(b.prompt_tokens < a.prompt_tokens for a, b in sent)


def test_a_providers_cache_changes_prices_only(plays):
    plain = plays[NONE]
    cheaper = with_prompt_cache(plain)
    assert sum(each.cost_nano for each in cheaper) < sum(each.cost_nano for each in plain)
    assert cheaper[0].cost_nano == plain[0].cost_nano
    for one, other in zip(plain, cheaper, strict=True):
        assert other.cost_nano <= one.cost_nano
        assert (one.text, one.usage.input_tokens) == (other.text, other.usage.input_tokens)
    assert priced(plays, frozenset({PREFIX})) == cheaper
    assert priced(plays, frozenset({MARGIN, CACHE})) == plays[frozenset({CACHE})]


def test_the_figures_of_a_play(plays):
    before = figures(plays[NONE], ANSWERS)
    after = figures(plays[frozenset({CACHE, ROUTING, COMPRESSION})], ANSWERS)
    assert before.hit_rate == 0
    assert before.hit_p50_s is None
    assert after.usd < before.usd
    assert 0 < after.small < 1
    assert after.wrong_hits == 0
    assert after.as_dict()["hit_rate"] == after.hit_rate > 0
    same = difference(plays[NONE], plays[NONE], lambda each: each.told)
    assert (same.low, same.high) == (0, 0)
    assert non_inferior(same) == "non-inferior"
    told = claims(before, after, 0.4)
    assert [each.claim for each in told] == [
        "cost -42 %", "hits under 180 ms", "40 % repeats", "prompts -55 %",
    ]  # fmt: skip
    assert "$84,000" in told[0].meaning
    assert all(each.meaning for each in told)


def test_percentiles_are_values_that_occurred():
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.95) == 4.0
    assert percentile([7.0], 0.5) == 7.0


def test_compressors_are_tried_on_prompts_and_the_shortest_accepted_wins(small_desk):
    desk, day = small_desk
    tried = try_compressors(
        day, desk, {"gentle": Compressor(), "tables": Compressor(tables=True),
                    "rough": Compressor(tables=True, to=1_000)},
    )  # fmt: skip
    by_name = {each.name: each for each in tried}
    assert by_name["gentle"].acceptance.ok
    assert by_name["rough"].tokens < by_name["tables"].tokens < by_name["gentle"].tokens
    assert not by_name["rough"].acceptance.ok
    chosen = shortest_accepted(tried)
    assert chosen.acceptance.ok
    with pytest.raises(UsageProblem, match="No compressor"):
        shortest_accepted([by_name["rough"]])
