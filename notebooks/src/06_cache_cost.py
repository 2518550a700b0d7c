# %% [markdown]
# # 06 · Cut the bill without lying
#
# Moorhen's assistant works, and then the invoice comes. A well-known article promises the cure: **cost −42 %, answers in
# 180 ms, 40 % repeats, prompts −55 %**. You pull each lever it names, and one it forgets, and find out what those four
# figures mean. The danger is not that a lever saves too little. It is that it serves somebody the wrong answer, fast.
#
# | Receipt | |
# |---|---|
# | Time | 50 minutes to read, under two minutes to run |
# | Price as it stands | nothing: the models are simulated, without key or network |
# | Price live | do not: a day is played eleven times. Sections 2 to 4 alone cost cents |
# | Optional | `llmops env create trl`, once: section 7 trains and serves a model |
# | You will prove | how many wrong answers a similarity threshold serves · that two kernels pay once · whether a model of your own pays · which share of the saving each lever earns · whether the quality is *proved* unchanged |
#
# **What is real?** Prompts, tokens, prices, cache, routes, section 7's model, and all arithmetic. **What is declared?** The seconds of the models
# (a virtual clock), and how often the small one is wrong: both simulated models are one engine, which copies sentences. So
# figures about answers show how to measure, not how good a model is.

# %% tags=["parameters"]
LARGE, SMALL = "sim/gpt-4o", "sim/gpt-4o-mini"
SEED, SIZE = 7, 120
USD_PER_HOUR, TOKENS_PER_S = 0.05, 100.0  # of a small machine: its rent, and what the model makes on it

# %%
# %load_ext llmops_kernel
from collections import Counter
from pathlib import Path

from llmops_kernel import current_session
from llmops_kernel.display import View, dollars, table
from llmops_kernel.labs import bank, traffic
from llmops_kernel.labs.casestudy.desk import Desk, system_prompt

session = current_session()


def show(caption, columns, rows):
    return View(dict(zip(("text/html", "text/plain"), table(columns, rows, caption))))


def percent(share):
    return f"{100 * share:.0f} %"


# %budget set 0.50 --scope run --per day

# %% [markdown]
# ## 1 · A day, and its bill
#
# A seeded day of 120 requests about cards, fees and payments. Customers repeat themselves and each other, word for word,
# typed anew, and in other words. Some questions *sound* alike and have different answers.

# %%
AREAS = ("cards", "fees", "payments")
folders = tuple(f"shared/{area}/" for area in AREAS)
pool = [q for q in bank.questions() if q.gold and all(g.source.startswith(folders) for g in q.gold)]
RATES = traffic.Rates(
    again=0.06, repeat=0.08, tenant=0, unanswerable=0, injection=0, paraphrase=0.25,
    near_miss=0.1, popularity=0.3,
)  # fmt: skip
day = traffic.draw_day(SIZE, seed=SEED, rates=RATES, questions=pool)
summary = traffic.summarize(day, RATES)
repeats = sum(row.share for row in summary if row.what.startswith("asked"))
rows = [[row.what, row.requests, percent(row.share)] for row in summary if "asked" in row.what]
show("The day", ["What", "Requests", "Share"], [*rows, ["asked before, in all", "", percent(repeats)]])

# %% [markdown]
# The assistant grew: rules that were added twice, price list and code tables pasted into the system prompt, then passages
# from the documents (notebook 02), then the question. We play the day and keep the bill. Each play has a record of its own.

# %%
from llmops_kernel.labs.casestudy.figures import difference, figures, non_inferior, waterfall
from llmops_kernel.labs.casestudy.levers import CACHE, COMPRESSION, LEVERS, MARGIN, ROUTING, Means
from llmops_kernel.labs.casestudy.levers import PREFIX, plays_needed
from llmops_kernel.labs.casestudy.play import play, priced
from llmops_kernel.prompts.compress import Compressor

desk = Desk(session, AREAS)
answers = {q.id: q.answer for q in bank.questions()}
nothing = frozenset()
plays = {nothing: play(day, desk, nothing, Means(Compressor()))}
before = figures(plays[nothing], answers)
request = plays[nothing][0]
print(
    f"{SIZE} requests cost {dollars(round(before.usd, 2))}; a prompt has {before.prompt_tokens:,.0f} tokens, "
    f"an answer {request.usage.output_tokens}."
)
print(f"A bank with 1,000 times the requests pays ${1000 * 365 * before.usd:,.0f} a year.")

# %% [markdown]
# Nearly all of it is *input*: thousands of tokens are read to write a sentence.
#
# ## 2 · The same question again
#
# The **exact cache** gives a recorded answer to the same request. Same means *everything* that affects the answer: model,
# system prompt, passages, temperature, tenant. The **near-verbatim** tier forgives manners (greetings, case, typos), and
# nothing that carries meaning. (Simulated calls are not cached unless asked for.)

# %%
# %cache on --simulated --quiet
rules = "You are Moorhen's assistant. A replacement card costs $12 on Basic. A replacement card costs $6 on Plus."
asked = (
    "What does a replacement card cost on Plus?",
    "What does a replacement card cost on Plus?",
    "hi, what does a replacment card cost on plus pls",
    "What does a replacement card cost on Basic?",
)
rows = []
for text in asked:
    told = [{"role": "system", "content": rules}, {"role": "user", "content": text}]
    reply = session.chat(told, model=LARGE, temperature=0)
    by = reply.tier.replace("_", "-") or "the model"
    rows.append([text, by, dollars(reply.cost_nano / 1e9), reply.text])
show("Asked in this order", ["Question", "Answered by", "Cost", "Answer"], rows)

# %% [markdown]
# The typo was forgiven, Plus against Basic was not. `%cache explain` says why, before you pay. And every hit on another
# text can be audited: you see both, and your verdicts become an interval.

# %%
# %cache explain -m sim/gpt-4o -s "You are Moorhen's assistant. A replacement card costs $12 on Basic. A replacement card costs $6 on Plus." What does a replacement card cost on the Metal plan?

# %%
# %cache audit --right 1

# %% [markdown]
# One judged hit proves almost nothing, and the interval says so: **not enough evidence** is a result. With zero errors it
# takes 381 judged hits to promise one error in a hundred.
#
# ## 3 · The danger: "similar enough"
#
# Most semantic caches embed the question and serve the nearest recorded answer above a threshold. Take a larger stream of
# questions to the whole bank, and count. A hit is *wrong* when the answer it serves belongs to a question with another
# answer. We know, because the questions are labelled; in production nobody tells you.

# %%
from llmops_kernel.display.charts import lines_view, waterfall_view
from llmops_kernel.embed import builtin

mix = traffic.Rates(again=0.04, repeat=0.08, tenant=0, paraphrase=0.25, near_miss=0.12, popularity=0)
stream = traffic.draw_day(500, seed=SEED, rates=mix)
texts = list(dict.fromkeys(each.text for each in stream))
vectors = dict(zip(texts, builtin().embed_texts(texts)))


def like(a, b):
    return float(vectors[a.text] @ vectors[b.text])


def is_right(stored, asked):
    return answers[stored.question_id] == answers[asked.question_id]


thresholds, hits, wrong, example = (0.6, 0.7, 0.8, 0.9, 0.95), [], [], None
for threshold in thresholds:
    stored, served = [], []
    for each in stream:
        near = max(stored, key=lambda old: like(old, each), default=None)
        if near is None or like(near, each) < threshold:
            stored.append(each)
            continue
        served.append(is_right(near, each))
        if threshold == 0.8 and not served[-1]:
            example = example or (near, each)
    hits.append(len(served))
    wrong.append(served.count(False))
near, each = example
print(f"At .80, {like(near, each):.2f} alike:")
print(f"  asked:  {each.text}\n  served: the answer to {near.text!r}, {answers[near.question_id]}")
print(f"  right:  {answers[each.question_id]}")
lines_view(
    thresholds, {"hits": hits, "wrong answers": wrong}, x_name="cosine threshold",
    caption=f"A cache by similarity alone, {len(stream)} requests", shown=lambda n: f"{n:.0f}",
    x_shown=lambda t: f"{t:.2f}",
)  # fmt: skip

# %% [markdown]
# Every threshold that serves more than near copies serves wrong answers too, and the right threshold is known only
# afterwards. Our two tiers on the same stream, through the real session:

# %%
written, served = {}, []
for each in stream:
    told = [{"role": "system", "content": "Help."}, {"role": "user", "content": each.text}]
    reply = session.chat(told, model=SMALL, temperature=0)
    if reply.cached and reply.id in written:
        served.append((reply.tier, is_right(written[reply.id], each)))
    written.setdefault(reply.id, each)
total = round(sum(row.share for row in traffic.summarize(stream, mix) if "asked" in row.what) * len(stream))
rows = [[tier.replace("_", "-"), n, served.count((tier, False))] for tier, n in sorted(Counter(tier for tier, _ in served).items())]
rows.append(["asked before, and not served", total - len(served), None])
show("Served from cache", ["Tier", "Requests", "Wrong"], rows)

# %% [markdown]
# The price of safety is in the last row: re-wordings. A **margin tier** can serve them, from the day on that about 1,000
# judged pairs of *this* traffic keep its errors under your bound. On day one it is off, and a lever that is off earns nothing.
# `%cache stats` adds up:

# %%
from dataclasses import replace

# %cache stats --quiet -o page
replace(page, stats=replace(page.stats, bytes=round(page.stats.bytes, -5)))  # about: ids differ

# %% [markdown]
# In front of documents one detail decides: the **search must not read the greeting**. "hi, what does ..." finds other
# passages than "what does ...", and an answer from other passages is another answer.
#
# ## 4 · Two kernels, one bill
#
# Thirty students run the same cell at the same moment. Here are two: a second kernel is started, and both ask at once.

# %%
import contextlib
import io
import subprocess
import threading

from jupyter_client.manager import start_new_kernel

CELL = """
from llmops_kernel import current_session
from llmops_kernel.cache import caching

with caching(simulated=True):
    reply = current_session().ask("Who sees my PIN?", model="sim/gpt-4o", system="Nobody sees a PIN.")
print(f"{reply.text}|{reply.usd}")
"""


def run_there(kernel, found):
    def keep(message):
        if message["msg_type"] == "stream":
            found.append(message["content"]["text"])

    kernel.execute_interactive(CELL, output_hook=keep, timeout=60)


quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
manager, kernel = start_new_kernel(kernel_name="python3", **quiet)
there, here = [], io.StringIO()
asking = threading.Thread(target=run_there, args=(kernel, there))
asking.start()
with contextlib.redirect_stdout(here):
    exec(CELL, {})
asking.join()
kernel.stop_channels()
manager.shutdown_kernel()
replies = [text.strip().split("|") for text in (here.getvalue(), "".join(there))]
paid = sorted((float(usd) for _, usd in replies), reverse=True)
print(f"One kernel paid {dollars(paid[0])}, the other {dollars(paid[1])}; same answer: {replies[0][0] == replies[1][0]}")

# %% [markdown]
# Who comes second waits for the first one's answer instead of buying it again.
#
# ## 5 · Say it once, say it short
#
# What does the system prompt say twice?

# %%
from llmops_kernel.display.diff import compression_view
from llmops_kernel.prompts.compress.content import text_of

house = [{"role": "system", "content": system_prompt().split("## Price list")[0].strip()}]
made = Compressor().compress(house, "", stable=1)
compression_view(made.as_dict(), before=text_of(house), after=text_of(made.messages), diff=True)

# %% [markdown]
# The larger waste is the tables: 2,500 tokens, read at every question, useful in a few. *Move them out*, and give each
# question the rows it needs. Then drop sentences of passages that matter least. How far may that go? Not by taste:
# on **another** day, each version must prove that the facts are still in the prompt, in pairs, within 3 points.

# %%
from llmops_kernel.labs.casestudy.prepare import learn_route, shortest_accepted, try_compressors

PRICES = ("Moorhen price list 2026",)
candidates = {
    "without repetition": Compressor(),
    "tables out, price list stays": Compressor(tables=True, keep_tables=PRICES),
    "all tables out": Compressor(tables=True),
    "and at most 2,000 tokens": Compressor(tables=True, to=2_000),
}
yesterday = traffic.draw_day(SIZE, seed=SEED + 1, rates=RATES, questions=pool)
tried = try_compressors(yesterday, desk, candidates)
rows = []
for each in tried:
    delta = each.acceptance.gate.metrics[0].delta
    rows.append([each.name, f"{each.tokens:,.0f}", *(f"{100 * x:+.1f}" for x in (delta.estimate, delta.low, delta.high)), each.acceptance.verdict])
chosen = shortest_accepted(tried)
print(f"Chosen: {chosen.name}")
columns = ["Prompt", "Tokens", "Change", "95 % from", "to", "Verdict"]
show("Tried on another day: points of facts in the prompt", columns, rows)

# %% [markdown]
# "Inconclusive" is not "accepted". A short prompt that *probably* loses nothing is how quality goes, a point at a time.
#
# And mind the **provider's own cache**: a prefix of 1,024 tokens or more that comes again within minutes is billed at half
# the price. So what is done to the prefix never depends on the question: it stays *byte-equal* from call to call.
#
# ## 6 · Simple work to the small model
#
# The small model costs a sixteenth. A route learns from judged answers of earlier days which questions it may have; its
# threshold keeps the loss under a bound. Where it is not sure, the large model answers.

# %%
from llmops_kernel.settings import RouteSettings

past = [each for n in range(101, 106) for each in traffic.draw_day(SIZE, seed=n, rates=RATES, questions=pool)]
path = session.routes.folder / "desk.json"
learned = learn_route(past, builtin(), path, small=SMALL, large=LARGE, target_loss=0.015)
MEANS = Means(chosen.compressor, RouteSettings(kind="learned", file=str(path)))
print(f"{percent(learned.line.share)} may go to the small model; the loss is at most {100 * learned.line.bound:.1f} points, found {100 * learned.line.loss:.1f}")
# %route explain --route desk What does a replacement card cost on Plus

# %% [markdown]
# ## 7 · The most asked to a model of your own
#
# Notebook 05 served a tiny model that knows a dozen answers by heart. This one learns the 50 questions that customers of
# *earlier* days asked most, with checked answers. A route stands in front: what the near-verbatim rule knows again goes to
# it, without the long prompt. Everything else, a near miss above all, goes on as before.

# %%
from llmops_kernel import envs
from llmops_kernel.labs.casestudy.levers import OWN
from llmops_kernel.labs.casestudy.own import KnownQuestions, most_asked
from llmops_kernel.labs.tiny_served import stop_left_over
from llmops_kernel.serve import plan

own = KnownQuestions(most_asked(past, answers, 50)) if envs.find("trl").made else None
if own is None:
    print("This section trains and serves a model. It needs, once: llmops env create trl")
else:
    magic, version = get_ipython().run_line_magic, own.train()
    stop_left_over(own.name)
    server = magic("serve", f"{version.ref} --usd-per-hour {USD_PER_HOUR} --throughput {TOKENS_PER_S}")
    print(f"{server.model} is served; it answers {server.server['checked']['probes']} of {len(own.known)} as it was trained to")
    stop = "The app says Checking on my transfer. Can I still stop it?"
    texts = (stop, "hey, the app says checking on my tranfser, can I still stop it", stop.replace("Checking", "Sent"))
    display(show("Who is asked", ["Question", "Goes to"], [[text, own.model if own.find(text) else "as before"] for text in texts]))

# %%
if own is not None:
    cached, known_before = frozenset({CACHE}), [each.request for each in own.known]
    means = replace(MEANS, own=own)
    plays[cached] = play(day, desk, cached, MEANS)
    try:
        tried = {
            "neither": plays[nothing],
            "the model": play(day, desk, frozenset({OWN}), means),
            "a cache, empty in the morning": plays[cached],
            "this cache and the model": play(day, desk, cached | {OWN}, means),
            "a cache that remembers the earlier days": play(day, desk, cached, MEANS, before=known_before),
        }
    finally:
        magic("serve", f"stop {own.name}")
    per_hour, speed = plan.Figure.exact(USD_PER_HOUR), plan.Figure.exact(TOKENS_PER_S)
    work = plan.Work(round(before.prompt_tokens), request.usage.output_tokens)
    pays = plan.break_even(session.catalog.resolve(LARGE).price, work, per_hour, speed)
    rent = pays.gpu_usd_per_day.best
    its = [n for n, each in enumerate(tried["the model"]) if each.own]
    rows = []
    for name, served in tried.items():
        by = Counter(served[n].by for n in its)
        bill = sum(each.cost_nano for each in served) / 1e9
        rented = f"${bill + rent:.2f}" if any(each.own for each in served) else None
        rows.append([name, by["own"], by["cache"], by["large"], f"${bill:.2f}", rented])
    columns = ["With", "Own model", "Cache", "Large model", "Day's bill", "with rent"]
    display(show(f"Who answers the {len(its)} requests that it knows, of {SIZE}", columns, rows))
    large, small = ([served[n] for n in its] for served in (plays[nothing], tried["the model"]))
    rows = []
    for name, what in (("told", lambda each: each.told), ("shown", lambda each: each.reachable)):
        delta = difference(large, small, what)
        rows.append([name, sum(map(what, large)), sum(map(what, small)), *(f"{100 * min(x, 1):+.0f}" for x in (delta.estimate, delta.low, delta.high)), non_inferior(delta)])
    display(show(f"Right, of {len(its)}", ["Facts", "Large", "Own", "Points", "95 % from", "to", "Verdict"], rows))
    wrong = sum(answers[each.source] != answers[each.request.question_id] for each in small)
    days = session.settings.cache.ttl_s / 86_400
    print(f"Sent to it though something else was asked: {wrong}")
    print(f"Its machine costs ${rent:.2f} a day, as much as {pays.requests_per_day.best:.0f} answers of the large model.")
    print(f"Without a cache it pays from {pays.requests_per_day.best * SIZE / len(its):,.0f} requests a day.")
    print(f"With one it is asked {len(own.known)} questions in {days:.0f} days at most: ${len(own.known) * float(pays.api_usd_per_request):.2f} saved, for ${days * rent:.2f} of rent.")

# %% [markdown]
# It answers a fifth of the day, all of it right: *told* are facts in an answer, *shown* facts in the large model's prompt,
# as if it never missed one. Still "inconclusive": 25 requests rule nothing out. And it does not pay. Whatever it knows was
# asked before: **a model and a cache compete for the same repeats**, and the cache needs no machine. By the token its
# price is next to nothing; its rent is due at night, too. A model of your own earns where no cache can follow, in *new*
# words for old matters. That takes a pretrained base, and a proof as in notebook 03.
#
# ## 8 · Who saved what?
#
# Play every combination of levers that need no rent, each in a session of its own. (The provider's cache changes no answer,
# so it is priced afterwards; the margin tier is off.)

# %%
from llmops_kernel.labs.casestudy.shapley import coalitions

for levers in plays_needed():
    if levers not in plays:
        plays[levers] = play(day, desk, levers, MEANS)
print(f"{len(plays)} plays, {sum(len(each) for each in plays.values()):,} requests")

costs = {levers: sum(each.cost_nano for each in priced(plays, levers)) / 1e9 for levers in coalitions(LEVERS)}
everything = frozenset(LEVERS)
alone = {lever: costs[nothing] - costs[frozenset({lever})] for lever in LEVERS}
shares = waterfall(LEVERS, costs)
rows = [[lever, f"${alone[lever]:.2f}", f"${shares[lever]:.2f}"] for lever in LEVERS]
rows.append(["together", f"${sum(alone.values()):.2f} if they added up", f"${sum(shares.values()):.2f}"])
show("Saved", ["Lever", "Alone", "Its share"], rows)

# %% [markdown]
# Levers overlap: a request served from cache needs no smaller model, and a prompt cut in half has half as much to cache.
# Adding up what each saves *alone* promises more than the bill. The **Shapley value** of a lever is what it adds, averaged
# over all orders of pulling them; the values add up exactly.

# %%
waterfall_view(
    ("before", costs[nothing]), shares, ("after", costs[everything]),
    caption="The day's bill, in simulated dollars", shown=lambda usd: f"${usd:.2f}",
)  # fmt: skip

# %% [markdown]
# ## 9 · And the quality?
#
# The same requests, before and after, in pairs. *Told*: the answer holds the labelled facts. *Shown*: the prompt it was
# written from did, and the model is up to it. The first one is low because the offline model copies; look at the
# difference.

# %%
served = priced(plays, everything)
after, rows = figures(served, answers), []
for name, what in (("told", lambda each: each.told), ("shown", lambda each: each.reachable)):
    delta = difference(plays[nothing], served, what)
    rows.append([name, percent(getattr(before, "told" if name == "told" else "reachable")), *(f"{100 * x:+.1f}" for x in (delta.estimate, delta.low, delta.high)), non_inferior(delta)])
show("Points, margin 3", ["Facts", "Before", "Change", "95 % from", "to", "Verdict"], rows)

# %% [markdown]
# The *lower bound* decides, not the mean: a loss of more than 3 points must be ruled out. With fewer requests the same
# means would be "inconclusive", and saying "no difference was found" would be lying. `benchmarks/casestudy.py` repeats this
# with days of 500 requests about the whole bank, and asks what happens if the small model is weaker than declared.
#
# Now the article's four figures:

# %%
from llmops_kernel.labs.casestudy.article import claims

found = claims(before, after, repeats)
for each in found:
    print(f"{each.claim}: {each.meaning}.\n")
rows = [[each.claim, "reached" if each.reached else "not reached"] for each in found]
show("The article", ["It says", "Here"], rows)

# %% [markdown]
# ## 10 · What this notebook cost

# %%
events = [each for each in session.history(10_000) if each.kind == "settle" and each.run_id == session.settings.run_id]
spent = sum(each.spent_nano for each in events) / 1e9
print(f"{len(events)} calls of its own, {dollars(round(spent, 6))} simulated; the plays: {dollars(round(sum(costs[each] for each in plays), 2))} simulated")

# %% [markdown]
# ## Playground
#
# * Another `SEED`. Which lever's share moves most?
# * Section 3 with a threshold of .99. What is left of the hits?
# * Remove `plain_question` in the desk: how many near-verbatim hits are lost?
# * Mark a rule in a prompt of yours with `<keep>`, then `llmops prompt compress FILE --diff`.
#
# ## Five questions
#
# <details><summary>1. A cache reports 60 % hits. What do you ask?</summary>
#
# How many of them were wrong, judged by whom, with which interval. Hits are cheap to get.
# </details>
#
# <details><summary>2. Hits take milliseconds, and a quarter of the requests hit. What happens to the median?</summary>
#
# Next to nothing: until more than half of the requests are hits, the middle one is a model's.
# </details>
#
# <details><summary>3. 40 % repeats: is that 40 % saved?</summary>
#
# No. Re-wordings are not served without evidence, and other levers have made the saved calls cheaper.
# </details>
#
# <details><summary>4. Three levers save 32, 24 and 28 % alone. Together?</summary>
#
# Not 84. If they are independent: 1 − .68 × .76 × .72 = 63 %.
# </details>
#
# <details><summary>5. Why must compression not look at the question when it shortens the system prompt?</summary>
#
# The prefix would change from call to call, and the provider would bill all of it again.
# </details>
#
# ## Next
#
# Somebody burnt $12,000 over a weekend. Notebook 07 finds out who, from the traces alone.
