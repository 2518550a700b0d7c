# %% [markdown]
# # 02 · Answers from documents
#
# Moorhen's assistant knows what a language model knows: nothing about Moorhen. Now it gets to read the bank's documents
# first: **retrieval-augmented generation**, RAG. The demo works. Then it quotes last year's fee.
#
# | Receipt | |
# |---|---|
# | Time | 40 minutes to read, about a minute to run |
# | Price as it stands | nothing: search runs on this machine, and the model is simulated, without key or network |
# | Price live | at most the cap that the next cells set; the last table shows what to expect |
# | You will prove | which search finds more, with an interval · that one customer's prices stay hidden from another · what a citation check lets through |
#
# **What is real?** Embedder, search, and every figure about *finding*. `sim/gpt-4o-mini` is still no language model: it
# *copies* sentences that share words with the question. Figures about *answers* (from section 5 on) show how to measure,
# not how good a model is. To go live: `MODEL = "openai/gpt-4o-mini"`.

# %% tags=["parameters"]
MODEL = "sim/gpt-4o-mini"

# %% [markdown]
# A limit first. (Both functions are notebook 01's.)

# %%
# %load_ext llmops_kernel
import random

from llmops_kernel import current_session
from llmops_kernel.display import View, dollars, table
from llmops_kernel.labs import bank

session, sections = current_session(), {}
# %config LLMOps.model = MODEL


def section(name):
    sections[name] = max((event.id for event in session.history(1)), default=0)


def show(caption, columns, rows):
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return View(dict(zip(("text/html", "text/plain"), table(columns, rows, caption))))


# %budget set 0.20 --scope run --per day

# %% [markdown]
# Moorhen has 120 documents: price lists, help pages, memos, scripts for agents, contracts with three business customers.
# **Ingesting** reads each, cuts it into *chunks* and stores for each chunk its words and its *embedding*: numbers that
# are close for texts of similar meaning. For a folder of yours it is one line, `%rag ingest NAME FOLDER`.

# %%
bank.ingest_into(session, "moorhen")
section("1 Last year's fee")
stats = session.indexes.open("moorhen").stats()  # %rag stats moorhen shows more
rows = [[tenant or "everybody", count] for tenant, count in stats.documents.items()]
show(f"{stats.chunks} chunks, from documents of", ["Whose", "Documents"], rows)

# %% [markdown]
# ## 1 · Last year's fee
#
# A direct debit came back unpaid. What does Moorhen charge for that now, in 2026?

# %%
# %%rag moorhen
# What is the price of a returned direct debit?

# %% [markdown]
# Short, with a source, and **wrong**: $7 was last year's price. Before you blame the model, look at what it was given.
# `%rag search` asks no model:

# %%
# %rag search moorhen What is the price of a returned direct debit? -o found --quiet
rows = []
for number, each in enumerate(found, 1):
    facts, text = each.chunk.facts, " ".join(each.chunk.text.split())
    rows.append(
        [number, *(facts.get(name) for name in ("source", "version", "effective")), text[:90]]
    )
show("Given to the model", ["#", "Document", "Version", "In force", "Begins"], rows)

# %% [markdown]
# This year's price list is not even among them. Last year's speaks like the customer ("returned direct debit"), this
# year's says "direct debit returned unpaid". **Search compares words and meaning; neither knows the date.** No model can
# quote what it was not shown.
#
# Metadata helps. Both lists carry a `version` in their first lines, and a search can be held to a condition:

# %%
# %%rag moorhen --filter "version>=2026"
# What is the price of a returned direct debit?

# %% [markdown]
# Solved? Ask something else with the same filter:

# %%
# %%rag moorhen --filter "version>=2026"
# When can I reach the support by phone?

# %% [markdown]
# The hours are in the documents, but their page *counts* its versions (it is at 14), and pages without a version are
# dropped too. So filter questions about prices only, or agree on one field when documents come in. And keep the old list,
# for "Was $7 right last August?"
#
# ## 2 · What is a chunk?
#
# You pay for every token a model reads, so it gets passages, not documents. Where to cut? The *markdown* chunker cuts at
# headings, and never within a table row:

# %%
from llmops_kernel.retrieval import search

section("2 Chunks")
own = ["source=shared/fees/fee-table-2026.md"]
chunks = [
    each.chunk for each in search(session, "price", "moorhen", mode="dense", k=9, filters=own)
]
rows = []
for chunk in sorted(chunks, key=lambda chunk: chunk.start):
    words = chunk.text.split()
    rows.append([chunk.heading.split(" > ")[-1], len(words), " ".join(words)[:80]])
show("This year's price list, in chunks", ["Heading", "Words", "Begins"], rows)

# %% [markdown]
# *Sentence* fills chunks with whole sentences; *semantic* cuts where the embeddings say that the subject changes;
# *parent-child* cuts small pieces inside larger ones (section 4).
#
# Large chunks find more and cost more, so compare at **equal cost**. Each labelled question names the passages that
# answer it. **Token recall** is the share of their tokens that the model gets to see, here within 600 tokens. (To be
# quick: two areas, fewer candidates.)

# %%
from llmops_kernel.rag.evaluate import EvalQuestion, GoldSpan, evaluate
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.retrieve import SearchOptions

KINDS, AREAS, QUICK = ("answerable", "indirect", "near_miss"), {"fees", "payments"}, {"pool": 50}


def labelled(questions):
    golds = [tuple(GoldSpan(g.source, quote=g.quote) for g in q.gold) for q in questions]
    rows = [(q.id, q.question, (), gold, q.tenant, q.kind) for q, gold in zip(questions, golds)]
    return [EvalQuestion(*row) for row in rows]


def percent(interval):
    return [f"{100 * share:.0f} %" for share in (interval.mean, interval.low, interval.high)]


def measure(index, **how):
    options = SearchOptions(**QUICK, merge=how.pop("merge", 0.5))
    scores = evaluate(index, some, modes=["hybrid"], options=options, **how).mode("hybrid").metrics
    return [*percent(scores["token_recall"]), 50 * round(scores["context_tokens"].mean / 50)]


some = [q for q in bank.questions(KINDS[:2]) if {g.source.split("/")[1] for g in q.gold} <= AREAS]
some, rows = labelled(random.Random(3).sample(some, 80)), []
for chunker in ("markdown", "sentence", "semantic", "parent-child"):
    index = session.indexes.open_or_create(f"moorhen-{chunker}", chunker=chunker)
    for area in sorted(AREAS):
        folder = bank.documents_folder() / "shared" / area
        ingest(index, [str(folder)], prefix=f"shared/{area}/")
    rows.append([chunker, index.stats().chunks, *measure(index, k=10, budget=600)])
columns = ["Chunker", "Chunks", "Token recall", "95 % from", "to", "Tokens read, about"]
show(f"Four chunkers, {len(some)} questions, at most 600 tokens", columns, rows)

# %% [markdown]
# Read the intervals before the ranking: overlapping this much, they hardly tell the chunkers apart. Then cost and risk
# decide: *semantic* embeds every sentence too, twice the work; *markdown* needs headings. For documents of yours:
# `llmops rag evaluate INDEX QUESTIONS.jsonl`.
#
# ## 3 · Words or meaning?
#
# **BM25** counts shared words, rare ones for more. **Dense** search compares embeddings. **Hybrid** scales both scores
# and adds them: 0.6 dense + 0.4 BM25.
#
# *Answerable* questions are asked plainly; *indirect* ones tell a story ("Woke up my mum's sleeping account. You'd
# nibbled at it for 7 months."); *near misses* sound like another question with another answer. **Predict first:**


# %%
def predict(best="dense", indirect_of_100=80):
    """Which search finds most in all? For how many of 100 indirect questions does it?"""
    return best, indirect_of_100


guess = predict()

# %%
section("3 Three searches")
draw, SAMPLE = random.Random(7), 60
asked = labelled([q for kind in KINDS for q in draw.sample(bank.questions([kind]), SAMPLE)])
report = evaluate(session.indexes.open("moorhen"), asked, k=5, options=SearchOptions(**QUICK))
best = max(report.modes, key=lambda mode: mode.metrics["recall"].mean)
hard = 100 * best.kinds["indirect"]["recall"].mean
print(f"{best.mode} finds most; of 100 indirect ones {hard:.0f}. You said {guess[0]}, {guess[1]}.")

# %%
COLOURS = {"bm25": "#b35900", "dense": "#0072b2", "hybrid": "#117733"}


def plot(title, kinds):
    """Means with intervals, as a small picture with a text beside it."""
    marks, lines, y = [], [title], 60
    for kind in kinds:
        marks.append(
            f'<text x="14" y="{y + 25}" font-weight="bold">{kind.replace("_", " ")}</text>'
        )
        for mode, colour in COLOURS.items():
            share, low, high = percent(report.mode(mode).kinds[kind]["recall"])
            x, left, right = (160 + 4 * int(each.split()[0]) for each in (share, low, high))
            line = f'<line x1="{left}" x2="{right}" y1="{y}" y2="{y}" stroke="{colour}"'
            marks.append(
                f'{line} stroke-width="3"/><circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>'
            )
            marks.append(f'<text x="580" y="{y + 5}" fill="{colour}">{mode} {share}</text>')
            lines.append(f"{kind:10}  {mode:6}  {share:>5}  [{low} to {high}]")
            y += 20
        y += 20
    for tick in range(0, 101, 25):
        x = 160 + 4 * tick
        marks.insert(0, f'<line x1="{x}" x2="{x}" y1="45" y2="{y - 25}" stroke="#ddd"/>')
        marks.append(f'<text x="{x}" y="{y - 6}" text-anchor="middle">{tick} %</text>')
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 {y}" width="700" height="{y}"
      role="img" font-family="sans-serif" font-size="14"><title>{title}</title>
      <rect width="700" height="{y}" fill="white"/><text x="14" y="24">{title}</text>"""
    return View({"image/svg+xml": f"{svg}{''.join(marks)}</svg>", "text/plain": "\n".join(lines)})


plot(f"Passages found among the first 5, {SAMPLE} questions of each kind, 95 % intervals", KINDS)

# %%
pairs = [each for each in report.differences if each.metric == "recall"]
rows = [[f"hybrid − {each.than}", *(f"{cell[:-2]} points" for cell in percent(each.interval))]
        for each in pairs]  # fmt: skip
show("All kinds, the same questions in pairs", ["Difference", "Mean", "95 % from", "to"], rows)

# %% [markdown]
# All three saw the same questions, so the last table compares them **in pairs**, which cancels much of the noise: an
# interval that leaves out zero says that the lead is no luck of the draw. But look at the indirect questions. Even the
# best search leaves many without the passage, **and no prompt repairs that**. Ways on: more passages (`-k 10`), a model
# that rewords the question (`--rewrite`), better documents.
#
# ## 4 · Small to find, large to read
#
# A small chunk is easy to find. A large one has the exception below the rule. *Parent-child* searches small ones; where
# half of a parent's children are found, the parent takes their place.

# %%
section("4 Parent-child")
index, rows = session.indexes.open("moorhen-parent-child"), []
for name, merge in (("children only", 0), ("with parents", 0.5)):
    question = "What if a standing order falls on a day without enough money?"
    print(name)
    for each in index.retriever.search(question, SearchOptions(k=3, merge=merge)):
        words = each.chunk.text.split()
        print(f"  {each.chunk.source.split('/')[-1]}, {len(words)} words: {' '.join(words)[:38]} …")
    rows.append([name, *measure(index, merge=merge)])
for chunker in ("markdown", "sentence", "semantic", "parent-child"):
    session.indexes.drop(f"moorhen-{chunker}")  # they were for trial
show("The first 5, searched twice", ["Passages", *columns[2:]], rows)

# %% [markdown]
# A little more is found (the intervals overlap), for twice the tokens at every question.
#
# ## 5 · Saying "I do not know"
#
# Some questions have no answer in the documents. The model is told to say so, and what rests on no passage is replaced
# by a refusal. Two ways to be wrong: to **answer what is not there**, and to **refuse what is**. A bot that refuses
# everything is perfect at the first, so always show both.

# %%
section("5 Refusals")
draw, replies, rows = random.Random(11), {}, []


def wilson(k, n, z=1.96):
    middle, half = k / n + z * z / (2 * n), z * (k * (n - k) / n**3 + (z / (2 * n)) ** 2) ** 0.5
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def told(question, text):
    return all(fact.lower() in text.lower() for fact in question.key_facts)


for kind in ("unanswerable", "answerable", "indirect"):
    chosen = draw.sample(bank.questions([kind]), 30)
    replies[kind] = [(q, session.rag(q.question, "moorhen", tenant=q.tenant)) for q in chosen]
    n, refused = len(chosen), sum(not answer.found for _, answer in replies[kind])
    right = None if kind == "unanswerable" else sum(told(q, a.text) for q, a in replies[kind])
    rows.append(
        [kind, f"{refused} of {n}", *(f"{100 * each:.0f} %" for each in wilson(refused, n)), right]
    )
show("Refused", ["Questions", "Refused", "95 % from", "to", "All key facts told"], rows)

# %%
rows = [[q.question, a.text] for q, a in replies["unanswerable"] if a.found][:3]
show("Answered, and should not have been", ["Question", "Answer"], rows)

# %% [markdown]
# Ideal would be 30, 0, 0. The offline model goes by shared words: it falls for questions whose *words* are in the
# documents, and refuses stories. And "not refused" is not "right": see the last column.
#
# ## 6 · The wall between customers
#
# Harbor Foods has a price of its own. Ask for it as the public, and as each business customer. (`tenant` comes from the
# login, never from the question.) Then search with every labelled attack, as each of the four, and count chunks that
# belong to somebody else.

# %%
section("6 Tenants")
question, rows, strays, seen = "What does Harbor Foods pay for a transfer abroad?", [], 0, 0
for tenant in ("", *bank.TENANTS):
    answer = session.rag(question, "moorhen", tenant=tenant)
    private = sum(source.document.startswith("tenants/") for source in answer.sources)
    rows.append([tenant or "the public", private, answer.text])
    for attack in bank.questions(["injection"]):
        for each in search(session, attack.question, "moorhen", k=20, tenant=tenant, **QUICK):
            seen, strays = seen + 1, strays + (each.chunk.tenant not in ("", tenant))
print(f"{strays} of {seen:,} chunks found are behind somebody else's wall")
show(question, ["Asked by", "Private passages", "Answer"], rows)

# %% [markdown]
# Zero, and not because a model was told to keep a secret: other customers' chunks are no candidates at all. **A secret that was never read cannot be talked out of a model.** But the others got the
# *general* price as if it were Harbor Foods'. No leak, and no true answer either.
#
# ## 7 · Citations, checked
#
# Each statement is compared with the passage it cites: all its figures must stand there, and half of its words. Let us
# forge some answers.

# %%
from llmops_kernel.rag.answer.cite import check
from llmops_kernel.rag.answer.pack import fenced, pack

section("7 Citations")
found = search(session, "price of a returned direct debit", "moorhen", filters=["version>=2026"])
given, rows = pack(found, budget=1_800), []
for text in (
    "A direct debit returned unpaid costs $6 [1].",
    "A direct debit returned unpaid costs $9 [1].",
    "A direct debit returned unpaid costs $6 [8].",
    "A direct debit returned unpaid costs $12 [1].",
    "A direct debit returned unpaid never costs $6 [1].",
):
    checked = check(text, given)
    rows.append([text, "flagged" if checked.unsupported or checked.invented else "passes"])
show("The truth, and four forgeries", ["Statement", "Check"], rows)

# %% [markdown]
# An invented figure is caught, and a passage that does not exist. The last two pass: $12 stands in the same passage, as
# the price of a card, and "never" is one word of many. The check compares **words, not meaning**: free, worth having, no
# proof. For meaning you need a judge, who must be checked too: notebook 04.
#
# ## 8 · The poisoned page
#
# Anybody may post in Moorhen's forum, and its best tips were ingested with everything else. We ask for a price, without
# and with the filter of section 1, and print the first passage as the model got it:

# %%
section("8 Poison")
question = "What does a card replacement cost?"
for filters in ([], ["version>=2026"]):
    print(filters, "→", session.rag(question, "moorhen", filters=filters).text, "\n")
print(fenced(pack(search(session, question, "moorhen", k=1), budget=1_800)))

# %% [markdown]
# Somebody hid notes to the assistant in the page: **indirect prompt injection**, which nobody typed into the chat.
#
# What the fence does: the text is marked as data, under a rule to follow no instruction in it, and a page cannot close
# its own fence. What it does *not* do: make a lie true. The offline model obeys nobody; it **quoted** the note, and the
# citation check found the figure in the page, as it should. A language model may even obey: a fence is a request, not a
# wall.
#
# What helps today is to decide **who may speak**: prices come from the price list, and what strangers can write gets an
# index of its own, or none. Guards against injections come later; they catch many, not all.
#
# ## 9 · What this notebook cost

# %%
bill = {name: [0, 0, 0] for name in (*sections, "All")}
for event in session.history(100_000):
    if event.kind == "settle" and event.run_id == session.settings.run_id:
        for name in ([name for name, start in sections.items() if start < event.id][-1], "All"):
            bill[name][0] += 1
            bill[name][1 + (event.book == "real")] += event.spent_nano
answers = [answer for each in replies.values() for _, answer in each]
read, usd = (
    sum(each) / len(answers) for each in zip(*((a.usage.input_tokens, a.usd) for a in answers))
)
print(
    f"A question of section 5 reads {read:,.0f} tokens; 1,000 of them cost {dollars(1000 * usd)}."
)
rows = [[name, n, *(f"${nano / 1e9:.6f}" for nano in nanos)] for name, (n, *nanos) in bill.items()]
show("From the ledger", ["Section", "Calls", "Simulated", "Real"], rows)

# %% [markdown]
# Sections 2 to 4 asked no model: **measure retrieval by itself first**, it is free. The bill for answers is mostly
# *input*: passages, paid for at every question, useful or not.
#
# ## Playground
#
# * Section 3 with `k=10`: how many more are found, and what would the tokens cost at 100,000 questions?
# * `%%rag moorhen --rewrite` with an indirect question. Which call does `%trace` show in addition?
# * Write a true statement that section 7 flags.
# * Which wordings bring back last year's fee?
# * `%rag ingest mine FOLDER` with documents of yours; `%rag drop mine` (and `moorhen`) tidies up.
#
# ## Five questions
#
# <details><summary>1. A larger model still quotes last year's fee. Why?</summary>
#
# It was shown last year's list only. What retrieval does not find, no model can use.
# </details>
#
# <details><summary>2. Recall at 5 rises when chunks get larger. Is that better?</summary>
#
# Five larger chunks are more tokens. Compare at equal tokens, or you measure the size.
# </details>
#
# <details><summary>3. A bot refuses all unanswerable questions. What else must you ask?</summary>
#
# How many answerable ones it refuses. Refusing everything scores 100 %.
# </details>
#
# <details><summary>4. Why not tell the model "do not reveal other customers' prices"?</summary>
#
# Then it has them. An instruction can be argued with; a chunk that was never retrieved cannot leak.
# </details>
#
# <details><summary>5. An answer cites a passage, and the check passes. Is it true?</summary>
#
# The passage has its figures and words. It may be out of date, poisoned, or about something else.
# </details>
#
# ## Next
#
# Most of Moorhen's messages need no document, only a label, and each pays for a large model. Notebook 03 trains a small
# one, and asks from how many messages on that pays.
