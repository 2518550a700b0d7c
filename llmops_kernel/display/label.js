// Shows one item at a time and sends what the rater says. It knows nothing but what is shown:
// scores and systems never reach it. All text is set as text, never as HTML.

const WAIT_MS = 4000;

function node(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function passage(title, text, level = "h4") {
  const part = node("section", undefined, { class: "llmops-label-part" });
  part.append(node(level, title), node("p", text, { class: "llmops-label-text" }));
  return part;
}

function content(item, pairs) {
  const parts = [passage("Question", item.question)];
  if (item.contexts.length) {
    const more = node("details", undefined, { class: "llmops-label-part" });
    more.append(node("summary", `Passages the answer was made from (${item.contexts.length})`));
    item.contexts.forEach((text, at) => more.append(passage(`Passage ${at + 1}`, text, "h5")));
    more.open = true;
    parts.push(more);
  }
  if (item.reference) parts.push(passage("Known right answer", item.reference));
  const answers = node("div", undefined, { class: pairs ? "llmops-label-pair" : "" });
  item.answers.forEach((text, at) =>
    answers.append(passage(pairs ? (at ? "Second answer" : "First answer") : "Answer", text)),
  );
  parts.push(answers);
  return parts;
}

function render({ model, el }) {
  let waiting = false;
  let timer = 0;
  const root = node("section", undefined, {
    class: "llmops-label",
    tabindex: "0",
    role: "group",
    "aria-label": "Labelling. Keys: the numbers on the buttons, s to skip, u to undo.",
  });
  const status = node("p", "", { class: "llmops-label-status", role: "status", "aria-live": "polite" });
  const meter = node("progress");
  const body = node("div", undefined, { class: "llmops-label-body" });
  const bar = node("div", undefined, { class: "llmops-label-bar", role: "toolbar", "aria-label": "Your label" });
  root.append(status, meter, body, bar);
  el.append(root);

  function send(command) {
    if (waiting) return;
    const state = model.get("state");
    waiting = true;
    timer = setTimeout(() => {
      status.textContent = "Waiting for the kernel; the label counts once the number above changes.";
    }, WAIT_MS);
    model.send({ ...command, item: state.item ? state.item.key : "" });
  }

  function button(key, label, command, disabled) {
    const made = node("button", undefined, { type: "button", "aria-keyshortcuts": key });
    made.append(node("kbd", key), node("span", ` ${label}`));
    made.disabled = Boolean(disabled);
    made.addEventListener("click", () => send(command));
    bar.append(made);
  }

  function draw() {
    clearTimeout(timer);
    waiting = false;
    const state = model.get("state");
    const done = state.labelled + state.skipped;
    const inside = root.contains(document.activeElement);
    meter.max = Math.max(state.total, 1);
    meter.value = done;
    meter.setAttribute("aria-label", `${done} of ${state.total} done`);
    body.replaceChildren();
    bar.replaceChildren();
    const problem = state.problem ? ` ${state.problem}` : "";
    if (state.item) {
      const ask = state.pairs ? "Which answer is better?" : "Is this right?";
      status.textContent =
        `${state.metric}: item ${done + 1} of ${state.total}, labels saved: ${state.labelled}. ` +
        `${state.question || ask}${problem}`;
      body.append(...content(state.item, state.pairs));
      for (const { key, label } of state.choices) button(key, label, { command: "answer", choice: key });
      button("s", "skip", { command: "answer", choice: "s" });
    } else {
      status.textContent =
        `${state.metric}: all ${state.total} items seen, labels saved: ${state.labelled}.${problem}`;
    }
    button("u", "undo", { command: "undo" }, !state.can_undo);
    if (inside) root.focus();
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const state = model.get("state");
    const key = event.key.toLowerCase();
    const known = state.item && (key === "s" || state.choices.some((each) => each.key === key));
    if (known) send({ command: "answer", choice: key });
    else if (key === "u" && state.can_undo) send({ command: "undo" });
    else return;
    // The notebook has shortcuts of its own: s saves, 1 makes a heading, 0 0 restarts the kernel.
    event.preventDefault();
    event.stopPropagation();
  }

  root.addEventListener("keydown", pressed);
  model.on("change:state", draw);
  draw();
  return () => {
    clearTimeout(timer);
    model.off("change:state", draw);
  };
}

export default { render };
