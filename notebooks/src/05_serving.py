# %% [markdown]
# # 05 · Serving: buy GPUs, or stay with the API?
#
# Notebook 03 left Moorhen with a small model of its own. Somebody has to run it. The hardware team asks which GPU, the
# product team how many customers at once, and finance from when on it pays. All three can be answered before anything is
# bought, and the answers measured afterwards.
#
# | Receipt | |
# |---|---|
# | Time | 35 minutes to read, under two minutes to run, on a CPU |
# | Price as it stands | nothing: the engine runs on this machine, API prices are looked up without a call |
# | Needs | `llmops env create trl`, once. With `llmops serve build llama-server` (six minutes, once) it runs faster |
# | You will prove | where a GPU's memory goes · why a load test with waiting clients flatters · from how many requests on a GPU pays |
#
# **What is real?** The engine, its processes, every load test. The model is tiny: it has learnt a dozen answers by heart.
# Times differ between machines, so only what holds on all of them is printed; take away a `;` or `--quiet` to see yours.

# %% tags=["parameters"]
API = "sim/gpt-4o-mini"
USD_PER_HOUR, TOKENS_PER_S = 0.70, 800.0  # of a GPU: what it costs, and what it was measured to make

# %%
# %load_ext llmops_kernel
import os
import signal

from llmops_kernel import current_session
from llmops_kernel.display import View, table
from llmops_kernel.serve import plan

session = current_session()


def show(caption, columns, rows):
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return View(dict(zip(("text/html", "text/plain"), table(columns, rows, caption))))


def yes(holds):
    return "yes" if holds else "NO"


# Whatever is asked here, the engine shall answer: a cached answer would say nothing of it.
# %cache off --quiet
# %budget set 0.20 --scope run --per day

# %% [markdown]
# ## 1 · Will it fit?
#
# A GPU holds the **weights**, room to work (**activations**), and the **keys and values** of every token of every
# conversation that is going on. The last one decides how many customers fit at once.

# %%
# %serve plan --model llama-3.1-8b --gpu L4 --ctx 8192 --concurrency 8 --dtype awq

# %% [markdown]
# Each figure is exact where the formula is, or a range that names the measurement it leans on. Compare ways to store the
# weights, and watch the last column:

# %%
shape, card = plan.find_shape("llama-3.1-8b"), plan.find_gpu("24GiB")
rows = []
for dtype in ("bf16", "fp8", "awq"):
    made = plan.plan_serving(shape, card, plan.Demand(4096, dtype=dtype))
    most = made.max_concurrency
    rows.append([dtype, f"{made.weights.best / plan.GIB:.2f}", f"{made.kv_pool.best / plan.GIB:.2f}",
                 f"{made.kv_tokens.best / 1000:.0f} k", f"{most.low:.0f} to {most.high:.0f}"])
columns = ["Weights as", "Weights, GiB", "Left for keys and values, GiB", "Tokens", "Customers at 4,096"]
show("Llama-3.1-8B on 24 GiB, vLLM", columns, rows)

# %% [markdown]
# A third of the weights, and more than twice the customers. Two mistakes cost more than any of these rows:
#
# - **Heads.** This model has 32 query heads but 8 for keys and values. Who multiplies by 32 plans four times too much.
# - **GB and GiB.** A "24 GB" card is sold in units of 1000³, memory is counted in 1024³: 7 % apart, which is all that many
#   plans have left.

# %%
per_token = shape.kv_bytes_per_token()
wrong = per_token * shape.heads / shape.kv_heads
print(f"{per_token:,.0f} bytes a token; with all heads it would be {wrong:,.0f}")
for size in ("24GB", "24GiB"):
    made = plan.plan_serving(shape, plan.find_gpu(size), plan.Demand(4096))
    print(f"{size:>5}: {made.kv_tokens.best:,.0f} tokens of keys and values in 16 bits")

# %% [markdown]
# ## 2 · Can the plan be trusted?
#
# Hold it against what others have published, before believing it about your own hardware:

# %%
H100, GIB = plan.find_gpu("H100"), plan.GIB


def gib(model, dtype):
    return plan.weight_bytes(plan.find_shape(model), dtype).best / GIB


def pool(model, dtype=""):
    made = plan.plan_serving(plan.find_shape(model), H100, plan.Demand(16_000, dtype=dtype, utilisation=0.9))
    return made.kv_pool.times(1 / GIB)


rows = [
    ["Llama-3.1-8B as F16, llama.cpp", 14.96, gib("llama-3.1-8b", "gguf:f16")],
    ["the same as Q4_K_M", 4.58, gib("llama-3.1-8b", "gguf:q4_k_m")],
    ["Llama-3.3-70B as FP8, loaded in vLLM", 67.72, gib("llama-3.3-70b", "fp8")],
]
rows = [[name, f"{said:.2f}", f"{found:.2f}", f"{found / said - 1:+.1%}"] for name, said, found in rows]
for model, dtype, said in (("llama-3.1-8b", "", 51.38), ("qwen3-32b", "", 4.45), ("llama-3.3-70b", "fp8", -1.44)):
    found = pool(model, dtype)
    rows.append([f"{model} {dtype}: left on an H100", f"{said:.2f}", found.text(), "within" if found.contains(said) else "OFF"])
show("Published and planned, GiB", ["What", "Published", "Planned", "Apart"], rows)

# %% [markdown]
# The 70B model has *less than nothing* left: it loads, and then fails before its first token. That is a plan worth having
# before the invoice.
#
# ## 3 · Serve it
#
# One model, trained, exported and registered here (notebook 03 shows how):

# %%
from llmops_kernel.labs.tiny_served import LEARNT, stop_left_over, tiny_served

version = tiny_served()
stop_left_over(version.name)  # of a run that was broken off
print(version.name, "with", ", ".join(kind for kind in ("merged", "gguf") if version.path(kind)))

# %%
# %serve moorhen-faq --slots 8 -o server --quiet

# %% [markdown]
# What happened: a free port on this machine, a random key, a process of its own. Then, **before any traffic**: is it
# healthy, does it answer at all, and does it answer *as the trained model did*? Only then is it registered. An engine that
# ends, hangs, or has the wrong chat template is stopped again, and no name points to it.

# %%
checked = server.server["checked"]
rows = [[server.model, yes(server.server["state"] == "ready"), f"{checked['probes']} of {len(LEARNT)}"]]
show("Served", ["Call it as", "Ready", "Answers as the trained model's"], rows)

# %% [markdown]
# `%serve list` shows engine, address and memory. From here on it is a model like any other: under the same caps, cache,
# trace and routes.

# %%
# %%ask -m local/moorhen-faq
# What is the limit for cash withdrawals?

# %% [markdown]
# ### A route to it, and a judge
#
# It knows twelve questions and nothing else. A **route** sends it those, and everything else to the API. Here a rule does;
# a router by intent (notebook 03), or one learned from judged answers (notebook 06), is a route as well. (A pattern can be
# found in another question, too; notebook 06 is stricter.) Then a judge reads what was served, like any model's answers.

# %%
from collections import Counter

from llmops_kernel import Session
from llmops_kernel.judge import Sample

known = "|".join(question.rstrip("?.") for question in LEARNT)
rule = {"model": "local/moorhen-faq", "pattern": known}
routes = {"help": {"kind": "rules", "rules": [rule], "model": API}}
served = []
with Session(routes=routes, cache={"mode": "off"}) as routed:
    before = routed.history(1)[0].id
    for question in [*LEARNT, "May I pay in two currencies at once?"]:
        messages = [{"role": "user", "content": question}]
        reply = routed.chat(messages, model="route/help", max_tokens=32, temperature=0)
        if question in LEARNT:
            served.append(Sample(question, question, reply.text, reference=LEARNT[question]))
    settled = [e.model for e in routed.history(99) if e.kind == "settle" and e.id > before]
show("Who answered", ["Model", "Calls"], [[name, n] for name, n in sorted(Counter(settled).items())])

# %%
# %%judge --data served --quiet -o judged
# metrics: semantic_similarity

# %%
alike = judged["semantic_similarity"].estimate
print(f"{len(served)} answers judged; they are like what was to be learnt: {alike:.2f} of 1")

# %% [markdown]
# ### The plan against the process
#
# The same planner, with this model's `config.json` and this machine's engine:

# %%
from llmops_kernel.serve.servers import look

seen, merged = look("moorhen-faq"), version.path("merged")
small = plan.read_shape(merged)
dtype = "gguf:q8_0" if seen.record.engine == "llama-server" else "fp32"
demand = plan.Demand(seen.record.context, seen.record.slots, seen.record.engine, dtype, device="cpu")
expected = plan.plan_serving(small, plan.find_gpu("16GiB"), demand).resident
files = {"gguf:q8_0": version.path("gguf"), "fp32": merged / "model.safetensors"}
rows = []
for name, path in files.items():
    apart = path.stat().st_size / plan.weight_bytes(small, name).best - 1
    rows.append([f"Weights as {name}, on disk", yes(abs(apart) < 0.05)])
rows.append(["Memory of the running engine", yes(expected.contains(seen.rss))])
show("Measured and planned", ["What", "Where the plan says"], rows)

# %% [markdown]
# (Within 5 % for the files: so small a model has a header that counts.)
#
# ## 4 · How many at once?
#
# The usual load test is a **closed loop**: so many clients, each waiting for its answer before asking again. It needs an
# **open loop** beside it: customers arrive when they like, however long the queue is. First the closed one:

# %%
# %serve bench moorhen-faq --clients 1,8 --requests 16 --max-tokens 12 -o closed --quiet
one, eight = closed.test.row(clients=1), closed.test.row(clients=8)
batching = seen.record.capabilities["batches"]
rows = [
    ["Every answer came whole", yes(one.completeness == eight.completeness == 1)],
    ["Eight clients wait longer for a first token than one", yes(eight.ttft_p50_s > one.ttft_p50_s)],
    ["What it says of batching, if anything, is what the engine says", yes(closed.test.batches in (None, batching))],
]
show("Closed loops", ["What", "Holds"], rows)

# %%
about, kept, able = closed.test.about, closed.test.prefix, seen.record.capabilities
rows = [
    ["Its cold start was timed", yes(about["ready_s"] > 0)],
    ["It is known how its weights are stored", yes(bool(about["file_type"]))],
    ["It keeps prompts that begin alike if it claims to", yes(able["prefix_cache"] == bool(kept and kept.cached_second))],
    ["It claims adapters only where some are loaded", yes(bool(able["lora"]) == bool(seen.record.adapters))],
]
show("What else the test has seen", ["What", "Holds"], rows)

# %% [markdown]
# **Whole** is checked on the text and on the reason it ended. An HTTP status says nothing: some servers break streams off
# when a second customer comes, under a friendly 200. And an engine that **batches** works on many conversations in one
# pass; one that does not makes a queue. The test tells by whether answers arrive at the same time.
#
# The test also asks prompts with one long beginning twice over. An engine with a **prefix cache** reads what it has kept
# only once: your system prompt is nearly free from the second customer on. Without `--quiet` the line shows how many tokens
# that were, the **cold start** (what a customer waits for if you stop the server at night), and the **quantisation**. With
# `%serve start BASE --lora tone=REF` one base serves many small **adapters**, each called as `local/BASE:tone`.
#
# Now the same server, with arrivals at a multiple of what it can do:

# %%
rate = max(4, round(2 * eight.requests_per_s))
from llmops_kernel.serve.loadtest import Goal, Load, load_test
from llmops_kernel.serve.servers import key_of

record = seen.record
goal = Goal(record.replicas[0].url, record.model, key_of(record))
opened = load_test(goal, [Load(rate=rate, requests=48)], max_tokens=12)
print("The open loop sees the longer wait:", yes(opened.rows[0].ttft_p95_s > eight.ttft_p95_s))

# %% [markdown]
# The closed loop slowed down *with* the server and never saw its queue: **coordinated omission**. Its percentiles are true,
# of a world in which customers queue politely outside.
#
# The shape behind it, computed for an engine that takes 100 ms a request, one at a time, with drawn arrivals:

# %%
import random


def waits(rate, service=0.1, number=20_000, seed=7):
    draw, at, free, found = random.Random(seed), 0.0, 0.0, []
    for _ in range(number):
        at += draw.expovariate(rate)
        free = max(free, at) + service
        found.append(free - service - at)
    return sorted(found)


rows = []
for rate in (2, 5, 7, 8, 9, 9.5):
    found = waits(rate)
    rows.append([f"{rate:g}", f"{rate / 10:.0%}", f"{found[10_000]:.2f} s", f"{found[19_000]:.2f} s"])
show("Waiting for the engine", ["Arrivals a second", "Busy", "Half wait less than", "95 % wait less than"], rows)

# %% [markdown]
# **The knee**: up to about 80 % busy the wait grows gently, then it runs away. Plan capacity at the knee, not at the
# maximum. `knee()` finds it in a measured test, by the wait that you promise.
#
# ## 5 · When does a GPU pay?
#
# A GPU for $0.70 an hour that makes 800 tokens a second, against a price per token; 500 tokens in and 150 out a request:

# %%
hour, speed = plan.Figure.exact(USD_PER_HOUR), plan.Figure.exact(TOKENS_PER_S)
told = plan.break_even(session.catalog.resolve(API).price, plan.Work(500, 150), hour, speed)
print(f"{API}: ${told.api_usd_per_request:f} a request, the GPU ${told.gpu_usd_per_day.best:.2f} a day")
print(f"The GPU pays from {told.requests_per_day.best:,.0f} requests a day; it can answer {told.capacity_per_day.best:,.0f}")
rows = []
for busy in (1.0, 0.5, 0.2, 0.05):
    usd = plan.usd_per_million(hour, speed, busy)
    rows.append([f"{busy:.0%}", f"${usd.best:.2f}"])
show("1M output tokens on that GPU", ["Busy", "Cost"], rows)

# %% [markdown]
# The API's $0.60 for a million looks dear beside $0.24, until the GPU idles. The nights are part of the price. So are the
# people who keep it running, and they are in no formula here. `%serve plan ... --versus openai/gpt-4o-mini` does the same
# for a model and a GPU by name, with ranges where a throughput is only estimated.
#
# ## 6 · Two of them, and one dies
#
# A second replica behind the same name. Each call goes to the one with least to do:

# %%
from llmops_kernel.serve.servers import add_replicas

replicas = add_replicas("moorhen-faq", 2).replicas
os.killpg(replicas[0].process.pid, signal.SIGKILL)  # somebody trips over a cable
right = 0
for question, answer in LEARNT.items():
    messages = [{"role": "user", "content": question}]
    right += session.chat(messages, model="local/moorhen-faq", max_tokens=32, temperature=0).text == answer
print(f"{right} of {len(LEARNT)} answered as learnt; replicas that answer: {look('moorhen-faq').answering}")

# %% [markdown]
# No error reached anybody: a call that finds a dead replica goes to the other one, as long as nothing was streamed yet.
# What did the evening cost?

# %%
spent = sum(event.spent_nano for event in session.history(200) if event.model == "local/moorhen-faq")
print(f"${spent / 1e9:.2f} in the ledger, with every call in it")

# %% [markdown]
# Free, because nobody said what the machine costs. `%serve start ... --usd-per-hour 0.70 --throughput 800` gives its tokens
# a price, and caps count them.

# %%
# %serve stop moorhen-faq --quiet
# %serve list

# %% [markdown]
# ## Check yourself
#
# <details><summary>1. A colleague plans a 70B model with 64 heads and finds no card large enough. What do you ask?</summary>
#
# How many of the heads hold keys and values. It has 8: an eighth of the memory per token.
# </details>
#
# <details><summary>2. The load test says p95 = 300 ms with 50 clients. Customers say 20 seconds. Who is wrong?</summary>
#
# Neither. Fifty clients that wait for their answers are not fifty customers a second. Test with arrivals.
# </details>
#
# <details><summary>3. Throughput is the same at 1 and at 16 clients. What is wrong?</summary>
#
# The engine does not batch: another engine, or another setting, before another GPU.
# </details>
#
# <details><summary>4. The export answers fluently, but other things than in training. Where do you look first?</summary>
#
# At the chat template: rendered text and token ids of one prompt, in training and in the engine. The check before traffic
# compares both.
# </details>
#
# ## Next
#
# Notebook 06 puts a model like this one in front of the bank's day, beside a cache, and counts what it saves after its rent.
