# %% [markdown]
# # 01 · Prompts and orchestration
#
# **Moorhen** is a bank that does not exist. Its support desk drowns in messages, and you are to put a language model in
# front of it. In this notebook you build the first version, break it four times, and keep the bill.
#
# | Receipt | |
# |---|---|
# | Time | 30 minutes to read, under a minute to run |
# | Price as it stands | nothing: the models are simulated in this process, without key or network |
# | Price live | at most the cap that the next cells set; the last table shows what to expect |
# | You will prove | that a program can rely on an answer · what each prompt is worth, with an interval and its bill · that a runaway agent stops, and what it would have cost |
#
# Models are paid by the **token**, a piece of a word: so much for each one read, several times more for each one written.
# `sim/gpt-4o-mini` is no language model: it *selects* from the text it is given, at gpt-4o-mini's price. Its tokens are
# estimates, its dollars are **simulated** and have a book of their own. What you learn is the method and the bill, not
# how clever a model is. To go live, change one line: `MODEL = "openai/gpt-4o-mini"`.

# %% tags=["parameters"]
MODEL = "sim/gpt-4o-mini"
LARGE = "sim/gpt-4o"

# %% [markdown]
# First of all a limit: 30 cents for this run of the notebook. From here on every call is *reserved* at its worst case
# under all the caps in this table, and refused if it does not fit. (The two functions only serve to show tables.)

# %%
# %load_ext llmops_kernel
from llmops_kernel import current_session
from llmops_kernel.display import View, dollars, table

session, sections = current_session(), {}
# %config LLMOps.model = MODEL


def section(name):
    sections[name] = max((event.id for event in session.history(1)), default=0)


def show(caption, columns, rows):
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return View(dict(zip(("text/html", "text/plain"), table(columns, rows, caption))))


# %budget set 0.30 --scope run --per day

# %% [markdown]
# ## 1 · Free text: good for people, useless for programs
#
# `%%ask` sends the text below it to the model. Names in braces are filled in from the notebook.

# %%
from typing import Annotated, Literal, get_args

section("1 Free text")
message = """On 3 May I paid $18.40 at the Blue Anchor cafe and it was taken twice. Please look
into it today, my rent leaves tonight. Ines Okafor, customer number M-2041"""
Intent = Literal["lost_card", "card_delivery", "dispute", "transfer", "fees", "details"]
queues = {intent: [] for intent in get_args(Intent)}

# %%
# %%ask -o answer
# Read this message from a customer of Moorhen and say what it is about.
#
# {message}

# %% [markdown]
# A person can work with that. A program wants to put the message into a queue:

# %% tags=["raises-exception"]
queues[answer.text].append(message)

# %% [markdown]
# The usual patch is a regular expression. It holds until the model words its answer differently: next customer, next
# week, next model version.
#
# ## 2 · Typed output: a contract, checked
#
# Say what you need as a class. Its schema travels with the prompt; the reply is parsed and *validated*, and what does
# not fit goes back once, with the list of problems (a **repair**). A validator checks what a schema cannot say: that the
# customer exists.

# %%
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter

section("2 Typed output")
PLANS = {"M-2041": "Plus", "M-3377": "Basic"}
DEFINITIONS = """
- lost_card: a card was lost, stolen or kept by a machine
- card_delivery: a card that was ordered has not come in the post
- dispute: a payment to a shop is wrong, double or unknown
- transfer: money sent to, or expected from, a person or bank
- fees: what Moorhen itself charges, and why
- details: the customer's name, address, phone or e-mail"""


def exists(customer):
    if customer not in PLANS:
        raise ValueError("there is no such customer number")
    return customer


class Ticket(BaseModel):
    intent: Intent = Field(description=DEFINITIONS)
    customer: Annotated[str, AfterValidator(exists)]
    amount_usd: float | None
    urgent: bool


# %% tags=["raises-exception"]
# %%ask --schema Ticket -o ticket
# Turn this message into a ticket.
#
# {message}

# %%
# %trace

# %% [markdown]
# A wrong output is now an *error* here, and no surprise downstream. The trace shows two calls below `ask` (unfold *input*
# and *output* to read them). The second one carries all of the first, its reply and the complaint. **You pay for both**,
# whatever comes of them.
#
# "Customer" can mean a name or a number. The validator catches what the schema never *said*, so say it:

# %%
Number = Annotated[str, Field(pattern=r"^M-\d{4}$")]


class ClearTicket(Ticket):
    customer: Annotated[Number, AfterValidator(exists)]


# %%
# %%ask --schema ClearTicket -o ticket
# Turn this message into a ticket.
#
# {message}

# %%
queues[ticket.data.intent].append(ticket.data)
print(f"{ticket.repairs} repairs, {dollars(ticket.usd)}, queue: {ticket.data.intent}")

# %% [markdown]
# Now the program runs. But typed output only guarantees the *form*. Is the content right? Read the message again: is it
# urgent? To know how often a prompt is right, count.
#
# ## 3 · Which prompt? Count, with the bill beside it
#
# Labelled messages, none of them among the examples, some of them near misses ("Do I pay for a replacement card?"). Four
# prompts:
#
# * **zero-shot**: the names of the intents;
# * **definitions**: what each name means, too;
# * **few-shot**: names, and three solved examples of each, as earlier turns of the conversation;
# * **chain of thought**: definitions, and "think step by step" (`%%ask --think`).
#
# **Predict first.** It costs nothing and makes the table twice as interesting: change the two values in `predict`.

# %%
POOL = """
lost_card | I think I left my card in a taxi, please block it right away. | I cannot find my card since the weekend.
  | My bag was stolen on the tram, with the card in it.
card_delivery | When will my new card arrive? I ordered it nine days ago. | Can I track the letter with my card?
  | My replacement card has still not come in the post.
dispute | I do not recognise a payment of $48 at a petrol station. | The hotel charged me twice for the same night.
  | I cancelled this subscription and the shop still took money.
transfer | I sent $300 to my sister and it has not reached her bank. | How long does a transfer to another bank take?
  | My salary was paid yesterday, but my balance shows nothing.
fees | What does it cost to withdraw cash abroad? | Is there a charge for changing euros into dollars?
  | Why did you take $4 from my account at the end of the month?
details | I have moved house, how do I change my address? | Please replace my old phone number with the new one.
  | I got married and need my new surname on the account."""
TEST = """
lost_card | My card was stolen, please block it. | I lost my wallet and my card was in it. | A cash machine swallowed my
  card. | Somebody took my bag at the station. | Please freeze the card, I dropped it somewhere in the gym.
card_delivery | My new card has not arrived yet. | I ordered a card two weeks ago and it is not in the post. | You said
  five days. Where is my replacement card? | The tracking page says the letter was returned to you. | Was my card sent
  to my old address?
dispute | I was charged twice at the bakery. | I do not recognise this payment to STRMLY. | The shop promised a refund in
  March and nothing came. | There is a payment from a city I have never been to. | They billed me for a gym that I left.
transfer | I sent money to my landlord and it has not arrived. | How long until a transfer to Canada is there? | Money from
  my brother is missing. | I typed one wrong digit in the account number. | The payment to my dentist is still pending.
fees | How much does a withdrawal in Japan cost? | Why did you charge me $4 this month? | Is there a fee for sending money
  to India? | Do I pay for a replacement card? | What is the Plus plan after the free months?
details | How do I change my phone number? | I moved to a different street, please update my address. | The app still greets
  me with my maiden name. | My e-mail is no longer valid. | I have a new phone and need the codes sent there."""


def labelled(text):
    rows = (row.split(" | ") for row in text.replace("\n  ", " ").strip().split("\n"))
    return [(item, label) for label, *items in rows for item in items]


POOL, TEST = labelled(POOL), labelled(TEST)


# %%
def predict(best="chain of thought", times_dearer=5):
    """Which prompt will be right most often? How many times the cheapest one does it cost?"""
    return best, times_dearer


guess = predict()

# %%
section("3 Four prompts")
NAMES = f"Classify the customer's message. Answer with one of: {', '.join(queues)}."
DEFINED = f"Classify the customer's message. Answer with one of these labels:{DEFINITIONS}"
PROMPTS = {
    "zero-shot": {"system": NAMES},
    "definitions": {"system": DEFINED},
    "few-shot": {"system": NAMES, "examples": POOL},
    "chain of thought": {"system": DEFINED, "think": True},
}
answers = {name: [session.ask(m, **how) for m, _ in TEST] for name, how in PROMPTS.items()}


# %%
def wilson(k, n, z=1.96):
    middle, half = k / n + z * z / (2 * n), z * (k * (n - k) / n**3 + (z / (2 * n)) ** 2) ** 0.5
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


right, usd, rows, n = {}, {}, [], len(TEST)
for name, got in answers.items():
    right[name] = [a.text.strip(" .").lower() == label for a, (_, label) in zip(got, TEST)]
    usd[name], k = sum(a.usd for a in got), sum(right[name])
    shares = [f"{100 * share:.0f} %" for share in (k / n, *wilson(k, n))]
    tokens = [sum(a.usage.input_tokens for a in got), sum(a.usage.output_tokens for a in got)]
    bill = [dollars(usd[name]), dollars(usd[name] / n * 1000)]
    rows.append([name, f"{k} of {n}", *shares, *tokens, *bill])
best = max(right, key=lambda name: sum(right[name]))
print(f"Most often right: {best}. You said {guess[0]}.")
print(f"It costs {usd[best] / (min(usd.values()) or 1):.1f} x the cheapest. You said {guess[1]} x.")
columns = "Prompt|Right|Share|95 % from|to|Input tok|Output tok|Cost|per 1,000".split("|")
show("Four prompts; the dollars of a sim/ model are simulated", columns, rows)

# %% [markdown]
# The interval says which shares are plausible if many more such messages came in. Where two overlap, so few messages
# hardly tell the prompts apart. (All prompts saw the *same* messages, so comparing them in pairs tells more: notebook
# 04.) The last two columns need no interval. Is the best prompt worth its price, compared with the second best?
#
# **Read the failures before you change a prompt.** Is the label wrong, or your definition? Which two intents get mixed
# up? Below the table is one answer with its reasoning to unfold.

# %%
hardest = sorted(range(len(TEST)), key=lambda i: sum(right[name][i] for name in right))[:9]
cells = [["✓" if right[name][i] else answers[name][i].text for name in right] for i in hardest]
rows = [[*TEST[i], *row] for i, row in zip(hardest, cells)]
show("The nine hardest messages", ["Message", "Right label", *right], rows)

# %%
answers["chain of thought"][hardest[-1]]

# %% [markdown]
# What is honest about this table? The offline model compares *words* with labels, definitions and examples. It knows
# and understands nothing: examples help by sharing words with the message, and its "reasoning" is a longer output, not
# thought. On a real model the shares differ, and so may their order. What carries over: a fixed test set, an interval,
# and the bill. Examples are paid for at *every* call; reasoning is paid at the output price, several times the input's.
#
# ## 4 · Orchestration: a model that may look things up
#
# A question about fees needs data. Give the model **tools**: it replies with a function's name and arguments, your
# program calls it, the result goes back, until the model answers in words. Every agent is this loop:

# %%
import json

section("4 Agent with tools")
FEES = {"Basic": "$4.00 for a transfer abroad", "Plus": "$1.50 for a transfer abroad"}


def lookup_account(customer_id: Number):
    """Look up a customer's account: its plan."""
    return f"Customer {customer_id} has the plan {PLANS[customer_id]}."


def list_fees(plan: Literal["Basic", "Plus"]):
    """List the fees of a plan."""
    return f"Moorhen {plan} costs {FEES[plan]}."


def tool(function):
    schema = TypeAdapter(function).json_schema()
    about = {"name": function.__name__, "description": function.__doc__, "parameters": schema}
    return {"type": "function", "function": about}


def run_agent(question, functions, model):
    replies.clear()
    messages = [{"role": "user", "content": question}]
    while True:
        reply = session.chat(messages, model=model, tools=[tool(each) for each in functions])
        replies.append(reply)
        if not reply.tool_calls:
            return reply.text
        messages.append(reply.choices[0]["message"])
        for call in reply.tool_calls:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            chosen = next(each for each in functions if each.__name__ == name)
            result = chosen(**json.loads(arguments))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


replies = []
question = "I am customer M-2041. What are the fees of my plan?"
print(run_agent(question, [lookup_account, list_fees], MODEL))
print("Tokens read, call by call:", *(reply.usage.input_tokens for reply in replies))

# %%
# %trace

# %% [markdown]
# (A language model would put the results into words; the offline one repeats them.) Each round sends the *whole*
# conversation again, so each call reads more than the one before. Nobody notices that in so short a talk. Look at
# `while True`, and remember it.
#
# ## 5 · Runaway
#
# **First accident:** a tool that says "not yet, ask again", and a model that does as it is told.


# %% tags=["raises-exception"]
def transfer_status(transfer_id: str):
    """Status of a transfer."""
    return f"Transfer {transfer_id} is pending. Call transfer_status again to see more."


section("5 Runaway: same call")
run_agent("Has transfer T-88 arrived?", [transfer_status], LARGE)

# %% [markdown]
# The **loop breaker** looks at calls, not dollars: the same round, again and again, ends here.
#
# **Second accident:** a tool that hands out pages, with a bug. After the last page it starts from the top, under a new
# page number. No round is like the one before, so there is no pattern to see, and every page stays in the conversation.


# %% tags=["raises-exception"]
def list_payments(page: int):
    """List a customer's payments, one page at a time."""
    rows = [f"2026-0{page % 3 + 1}-{day:02d} Shop {day} ${day}.{day:02d}" for day in range(1, 29)]
    return "\n".join([*rows, f"There is more: call list_payments again with page {page + 1}."])


section("5 Runaway: page after page")
run_agent("Find the payment of $950 to a boat yard. Start with page 1.", [list_payments], LARGE)

# %% [markdown]
# The call that did not fit was **never sent**: each is held at its worst case before it leaves, so not even calls
# in flight at the same time can pass a cap together.
#
# Now take cap and breaker away, and let nobody look for 48 hours. No guessing: fit how dollars and seconds followed from
# the tokens read, and go on from there. A model reads 128,000 tokens at most, its *window*; once that is full, we drop
# old pages, as frameworks do. (The seconds are the simulator's assumption: a slower model makes fewer calls.)

# %%
from statistics import linear_regression

read, paid = [r.usage.input_tokens for r in replies], [r.cost_nano / 1e9 for r in replies]
price, base = linear_regression(read, paid)
slower, quickest = linear_regression(read, [r.latency_s or 1.0 for r in replies])
growth = (read[-1] - read[0]) / (len(read) - 1)

tokens, clock, calls, total = read[0], 0.0, 0, 0.0
while clock < 48 * 3600:
    calls, total = calls + 1, total + base + price * tokens
    clock, tokens = clock + quickest + slower * tokens, min(tokens + growth, 128_000)
full = dollars(base + price * tokens)
rows = [
    ["measured, until the cap", len(replies), read[-1], dollars(paid[-1]), dollars(sum(paid))],
    ["48 h, all as the first", calls, read[0], dollars(paid[0]), dollars(calls * paid[0])],
    ["48 h, growing context", calls, round(tokens), full, dollars(total)],
]
columns = ["Agent", "Calls", "The last one reads", "and costs", "All calls"]
show("One loop over a weekend, in simulated dollars", columns, rows)

# %% [markdown]
# "A call costs next to nothing" was true of the first one. A conversation's cost grows with the *square* of its rounds
# until the window is full, and then every call is as dear as can be. A step limit bounds steps; only a cap bounds dollars.
#
# The ledger keeps each move, newest first: `reserve` holds the worst case, `settle` gives it back and books the cost,
# `refuse` is the call that never left.

# %%
# %budget

# %%
# %budget history -n 7

# %% [markdown]
# ## 6 · What this notebook cost

# %%
bill = {name: [0, 0, 0] for name in (*sections, "All")}
for event in session.history(100_000):
    if event.kind == "settle" and event.run_id == session.settings.run_id:
        for name in ([name for name, start in sections.items() if start < event.id][-1], "All"):
            bill[name][0] += 1
            bill[name][1 + (event.book == "real")] += event.spent_nano
rows = [[name, n, *(f"${nano / 1e9:.6f}" for nano in nanos)] for name, (n, *nanos) in bill.items()]
show("From the ledger", ["Section", "Calls", "Simulated", "Real"], rows)

# %% [markdown]
# ## Playground
#
# * Give the ticket a field `due: datetime.date`. What becomes of "tonight", and who noticed?
# * Add `--max-tokens 12` to a ticket's `%%ask`. Why is there no repair?
# * Add two examples for the intent that fails most, and run section 3 again. You have now *seen* the test set: what would
#   you need to claim an improvement?
# * Put `"examples": POOL` and `"think": True` together. What does each further right answer cost?
# * Let `run_agent` keep only its last three results. How far do 30 cents go? (`%budget raise 0.30 --scope run --per day`
#   makes room.)
#
# ## Five questions
#
# <details><summary>1. The provider promises the schema. Why still check in code?</summary>
#
# The schema fixes the form. That the customer exists, or that two fields agree, only code can tell.
# </details>
#
# <details><summary>2. Repair works nine times of ten. Why not rely on it?</summary>
#
# Each repair is a second, longer call. Put your demands into the schema, and count repairs as a symptom.
# </details>
#
# <details><summary>3. Prompt A got two more right than prompt B, of thirty. Is it better?</summary>
#
# Look at the messages on which they differ. If those are just two, a fair coin does the same half of the time (2 · ½²).
# </details>
#
# <details><summary>4. Why did the loop breaker let the second agent go on?</summary>
#
# Each of its rounds was new: another page, another result. Such a loop shows in its growth and its dollars only.
# </details>
#
# <details><summary>5. Why hold the worst case before a call, instead of checking the bill after it?</summary>
#
# Calls run side by side. Ten of them can all find the same last cent unspent; only one can reserve it.
# </details>
#
# ## Next
#
# The agent knew the fees because you typed them into a dictionary. Moorhen's real ones stand in documents, some of them
# out of date. Notebook 02 lets the model read: retrieval, sources, and saying "I do not know".
