# %% [markdown]
# # 03 · Fine-tuning: is it worth it?
#
# Most messages to Moorhen need no answer yet, only a **queue**: which of 24 things does the customer want? Today the large
# model reads every one of them. A small model of our own could take its place. It will train without trouble, and then
# meet a sentence nobody showed it.
#
# | Receipt | |
# |---|---|
# | Time | 40 minutes to read, about two minutes to run, on a CPU |
# | Price as it stands | nothing: training runs on this machine, and the large model is simulated |
# | Needs | `llmops env create trl`, once: PyTorch and TRL, in an environment of their own |
# | You will prove | what accuracy hides · how coverage grows with each paraphrase you buy · from how many messages on a router pays, with an interval |
#
# **What is real?** Training, export and every figure about classifiers. The large model is simulated: its price is real, its
# answer is not. Figures that depend on the machine are rounded, or given as bounds.

# %% tags=["parameters"]
LARGE = "sim/gpt-4o"

# %%
# %load_ext llmops_kernel
import math
import os
import tempfile

from llmops_kernel import current_session
from llmops_kernel.display import View, dollars, table
from llmops_kernel.labs import intents, intents_worth, tiny

session = current_session()
# %config LLMOps.model = LARGE
os.chdir(tempfile.mkdtemp())  # files of this notebook


def show(caption, columns, rows):
    rows = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return View(dict(zip(("text/html", "text/plain"), table(columns, rows, caption))))


def share(guesses):
    return sum(guess.right for guess in guesses) / len(guesses)


def about(part):
    near = 10 * round(10 * part)
    return f"{near} %" if 0 < near < 100 else "under 5 %" if part < 0.5 else "over 95 %"


# %budget set 0.20 --scope run --per day

# %% [markdown]
# ## 1 · What the large model costs
#
# It needs the list of queues in its prompt, with an example each, for every message. (The simulated one copies a line; it
# is asked for its price.)

# %%
queues = {each.intent: each.text for each in reversed(intents.known())}
listing = "\n".join(f"- {name}: {queues[name]}" for name in intents.intents())
message = "Somebody took my wallet and the card was in it"

# %%
# %%ask --quiet -o answer
# Into which queue goes this message? Answer with its name alone.
#
# {listing}
#
# Message: {message}

# %%
print(f"{answer.usage.input_tokens} tokens in: {dollars(answer.usd)} for this message,")
print(f"{dollars(100_000 * answer.usd)} for 100,000. The queue itself is a handful of tokens.")

# %% [markdown]
# ## 2 · What we have
#
# For each queue, three ways in which customers say it (**phrasings**) have been labelled. Six more are for sale. Three
# are **held out**: they stand for next month's customers, and no model here may train on them.

# %%
mine = [each for each in intents.phrasings() if each.intent == "card_declined"]
show("card_declined", ["Part", "Phrasing"], [[each.part, each.text] for each in mine])

# %% [markdown]
# From each phrasing we make several messages: slots filled, greetings, slips of the keyboard. Remember that they are
# copies of one idea.
#
# ## 3 · The baseline first
#
# Before you train a network, try what costs a second. *Words*: which words and letter groups occur, with logistic
# regression on top. *Meaning*: the same regression over the embeddings of notebook 02, from a model that has read a large
# part of the web. **Predict**: how many of 100 messages do they get right, in phrasings they know and in new ones?


# %%
def predict(words_known=95, words_new=80, meaning_new=90):
    return words_known, words_new, meaning_new


guess = predict()

# %%
SETS = [0, 2, 4, 6]  # paraphrases bought for each queue
train = [intents.messages(intents.known(bought), 4) for bought in SETS]
familiar = intents.messages(intents.known(), 2, seed=5)
familiar = [each for each in familiar if each.text not in {row.text for row in train[0]}]
new = intents.messages(intents.held_out(), 4, seed=38)

both, n = familiar + new, len(familiar)
words, meaning = intents.by_words(train, both), intents.by_meaning(train, both)
rows = [[name, about(share(g[0][:n])), about(share(g[0][n:]))]
        for name, g in (("words", words), ("meaning", meaning))]  # fmt: skip
words, meaning = ([each[n:] for each in g] for g in (words, meaning))
print("You said", *(f"{each} %" for each in guess))
show("Right, after training on 3 phrasings a queue", ["", "Known phrasings", "New ones"], rows)

# %% [markdown]
# Near perfect on the first column: that is what a random split of your rows reports, because copies of each phrasing are
# on both sides. The second column is what customers get. **Split by phrasing (or customer, or document), never by row.**
#
# ## 4 · Buying paraphrases
#
# More rows of the same phrasings would not help; more phrasings do. Nobody has to trust the small model with everything,
# either: below a **threshold** of confidence a message goes to the large model as before. What counts is then
# **coverage**, the share it may answer, at a precision you choose. We ask for 90 % and choose the threshold *crosswise*:
# each phrasing is judged by a model that did not see it.

# %%
crossed = intents.by_meaning(train)
thresholds = [intents_worth.threshold_for(each, 0.9) for each in crossed]
points = [intents_worth.curve(g, [t])[0] for g, t in zip(meaning, thresholds)]
coverage = {
    "right, all answered": [share(each) for each in meaning],
    "answered at 90 %": [each.coverage for each in points],
    "words: right, all answered": [share(each) for each in words],
}


# %%
def plot(title, lines, xs):
    """Lines over the paraphrases bought, as a small picture with a text beside it."""
    marks, told, colours = [], [title], ["#0072b2", "#117733", "#b35900"]
    for (name, values), colour in zip(lines.items(), colours):
        shares = [10 * round(10 * value) for value in values]
        dots = [(80 + 60 * x, 240 - 2 * y) for x, y in zip(xs, shares)]
        path = " ".join(f"{x},{y}" for x, y in dots)
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks += [f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>' for x, y in dots]
        marks.append(f'<text x="455" y="{dots[-1][1] + 5}" fill="{colour}">{name}</text>')
        told.append(f"{name:28}" + "".join(f"{y:>5} %" for y in shares))
    for y in range(0, 101, 25):
        marks.append(f'<text x="70" y="{245 - 2 * y}" text-anchor="end">{y} %</text>')
    for x in xs:
        marks.append(f'<text x="{80 + 60 * x}" y="262" text-anchor="middle">{x}</text>')
    svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 275" width="700" height="275"
      role="img" font-family="sans-serif" font-size="14"><title>{title}</title>
      <rect width="700" height="275" fill="white"/><text x="14" y="22">{title}</text>"""
    return View({"image/svg+xml": f"{svg}{''.join(marks)}</svg>", "text/plain": "\n".join(told)})


plot("New phrasings, by paraphrases bought for each queue", coverage, SETS)

# %% [markdown]
# With three phrasings nothing reaches 90 %, so nothing is answered, and that is the right thing to do. Each purchase buys
# coverage. And look at the last line: with all nine phrasings, words do not arrive where the encoder starts with three.
#
# ## 5 · Training a model of our own
#
# Now the real pipeline, on a model small enough for a CPU: Llama's architecture, 1.4 million parameters, trained from
# nothing on Moorhen's documents (half a minute). A real project names a pretrained base here; **all other lines stay**.

# %%
base = tiny.register_base("moorhen-tiny")
print(f"{base.metrics['parameters']:,.0f} parameters; better than chance, "
      f"{math.log(1_024):.1f} nats a token: {base.metrics['last_loss'] < 6}")
rows = intents.messages(intents.known(6), 3)
intents.write_csv("messages.csv", rows)
print(f"{len(rows)} rows to learn from")

# %%
# %%finetune intent-router -o run
# task: classify
# base: moorhen-tiny
# backend: {threads: 1}
# data: {path: messages.csv, group: phrasing, eval_fraction: 0.1, dedupe: exact}
# method: lora
# lora: {r: 16, alpha: 32}
# train: {epochs: 4, batch: 16, lr: 3.0e-3, warmup_steps: 10}
# limits: {wall: 10m, memory: 4GiB}
# export: [merged, "gguf:f16", "gguf:q8_0", ollama-modelfile]
# register: intent-router

# %% [markdown]
# It ran in a process of its own: a kernel restart would not stop it. Before the first step a **pre-flight** looked for what
# usually ruins a training silently: rows cut off, an end token that is never learnt, loss on the question instead of the
# answer. The marked tokens are all that is learnt:

# %%
# %finetune preflight intent-router

# %%
def bound(part):
    return "under 40 %" if part < 0.4 else "40 to 60 %" if part < 0.6 else "over 60 %"


first, last = run.train_loss[0][1], run.train_loss[-1][1]
answers = run.metrics["answers"]
print(f"Training loss: from over {min(5, math.floor(first))} nats a token to under 1: {last < 1}")
print(f"Loss on phrasings it did not see under 2: {run.eval_loss[-1][1] < 2}")
print("Whole answers right among these:", bound(answers["exact"] / answers["answered"]))

# %% [markdown]
# Both losses fell as in a textbook, and hardly an answer is right. The loss is a mean over *tokens*, and once `card_` is
# written, most of the rest is easy. **Count whole answers, on phrasings that are new.** How does it do beside the
# baselines?

# %%
version = run.version
from llmops_kernel.finetune.registry import Registry

model = Registry().get(version)
own = intents.by_model(model.path("merged"), new)

rows = [[name, bound(share(g))] for name, g in
        [("words", words[-1]), ("our own model", own), ("meaning (pretrained)", meaning[-1])]]  # fmt: skip
show("Right on new phrasings, all nine phrasings trained on", ["", "Right"], rows)

# %% [markdown]
# A model that has read one bank's documents does not know that a wallet holds cards. Training was not the mistake;
# training *from nothing* was. What generalises here is what was learnt before, from much more text. So the router below
# uses the encoder, at a thousandth of a large model's size.
#
# ## 6 · Routing by confidence

# %%
rows = []
for threshold in (0.3, 0.5, 0.7, thresholds[-1]):
    point = intents_worth.curve(meaning[-1], [threshold])[0]
    name = "chosen crosswise" if threshold == thresholds[-1] else f"{threshold:.1f}"
    rows.append([name, about(point.coverage), about(point.precision), about(point.wrong)])
show("The encoder's router, on new phrasings",
     ["Threshold", "Answered", "Of these right", "Wrong queue, of all"], rows)  # fmt: skip

# %% [markdown]
# The threshold promised 90 % and keeps about 80: 24 queues with nine phrasings are few to choose on. Leave a margin, and
# audit some of what it answers every week.
#
# ## 7 · Is it worth it?
#
# Each message that the router takes saves a call. Each one it takes wrongly costs somebody's time, but the large model is
# not perfect either. Paraphrases were paid for once. The interval comes from drawing the held-out *phrasings* again and
# again (a bootstrap).

# %%
PARAPHRASE, LARGE_WRONG = 0.15, 0.05  # dollars to have one written and checked; share
fixed = PARAPHRASE * 6 * len(intents.intents())


def volume(messages):
    if not math.isfinite(messages):
        return "never"
    step = 10 ** math.floor(math.log10(messages))
    return f"{round(messages / step) * step:,.0f}"


rows = []
for error in (0, 0.005, 0.02):
    costs = intents_worth.Costs(fixed, float(answer.usd), error=error, large_errors=LARGE_WRONG)
    found = intents_worth.break_even(meaning[-1], thresholds[-1], costs)
    rows.append([f"${error}", volume(found.messages), volume(found.low), volume(found.high)])
show(f"Messages until {dollars(fixed)} are earned back",
     ["A wrong queue costs", "Estimate", "95 % from", "to"], rows)  # fmt: skip

# %% [markdown]
# **The price of a mistake decides, not the price of a call.** At half a cent, the interval spans a factor of ten: these
# held-out phrasings are too few to say. At two cents (a few seconds of somebody's time) the router loses money for ever,
# however many messages come. Then raise the threshold, buy more phrasings, or leave it. A table that shows the first line
# alone is an advertisement.
#
# ## 8 · Out of the notebook
#
# GGUF is what llama.cpp, Ollama and others serve. Exports fail quietly: another chat template, a doubled start token, and
# the model that was right in training writes nonsense. So every file was compared with what the trained model said: the
# same token ids, the same greedy answers. (By `llama-server` where `LLMOPS_LLAMA_SERVER` names one; else the file is read
# back.)

# %%
parity = model.json("parity.json")
rows = [
    [each["file"], f"{model.files['gguf/' + each['file']]['bytes'] / 1e6:.1f} MB",
     "the same answers" if each["ok"] else "differs"]
    for each in parity["results"]
]  # fmt: skip
show("Exports beside the trained model", ["File", "Size", "Parity"], rows)

# %% [markdown]
# A registered version carries what it came from. Its name is a hash of configuration, data and base:

# %%
card = model.card.split("\n## ")
print("\n## ".join(part for part in card if part.startswith(("Data", "Checks", "Limits"))))

# %% [markdown]
# In a shell: `llmops model list`, `llmops model show intent-router`, `llmops model promote intent-router`.
#
# ## Playground
#
# * `method: full` in section 5. What changes on known phrasings, what on new ones?
# * Ask for 95 % precision in section 4. How many messages are still answered?
# * Put a pretrained base of yours into `base:`.
# * Which `PARAPHRASE` price makes the router pay within a month of 60,000 messages?
#
# ## Five questions
#
# <details><summary>1. 99 % accuracy on a random split. What do you ask?</summary>
#
# What was split: rows or phrasings. Copies on both sides measure memory.
# </details>
#
# <details><summary>2. Why not choose the threshold on the held-out messages?</summary>
#
# It would fit their luck, and look better than it is. Choose on other data than you report.
# </details>
#
# <details><summary>3. The loss went to zero. Is the model good?</summary>
#
# It remembers. Only rows that are new in the way customers are new can tell.
# </details>
#
# <details><summary>4. Why draw phrasings again for the interval, not messages?</summary>
#
# Messages of one phrasing stand and fall together; drawing them singly pretends to more evidence than there is.
# </details>
#
# <details><summary>5. A q8_0 file passes the parity test, a q4_0 file does not. Broken?</summary>
#
# Look at the first difference. Where the first choice led by a hair, rounding decides; where template or token ids differ, it is broken.
# </details>
#
# ## Next
#
# "Right" was easy to count here: one label a message. Notebook 04 judges free text, and the judge.
