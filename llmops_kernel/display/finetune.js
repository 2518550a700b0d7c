// Shows a training as the kernel tells it, and asks the kernel to stop it. All text is set as
// text, never as HTML; nothing is fetched.

const WAIT_MS = 4000;
const WIDTH = 560;
const HEIGHT = 220;
const EDGE = { left: 48, right: 12, top: 12, bottom: 26 };
const SVG = "http://www.w3.org/2000/svg";
const SERIES = { train: "training", eval: "evaluation" };

function node(tag, name, text, attributes = {}) {
  const made = document.createElement(tag);
  if (name) made.className = `llmops-ft-${name}`;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function shape(tag, name, attributes = {}, text) {
  const made = document.createElementNS(SVG, tag);
  made.setAttribute("class", `llmops-ft-${name}`);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(element, text) {
  // A live region speaks on every change, even to the same text.
  if (element.textContent !== text) element.textContent = text;
}

function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
  return found;
}

function brief(value) {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function frame(points) {
  const steps = points.map((each) => each[0]);
  const losses = points.map((each) => each[1]);
  const left = Math.min(...steps);
  const right = Math.max(...steps, left + 1);
  let low = Math.min(...losses);
  let high = Math.max(...losses);
  if (low >= 0 && low < 0.35 * high) low = 0; // a loss near nothing should look like it
  if (high <= low) high = low + 1;
  const across = WIDTH - EDGE.left - EDGE.right;
  const down = HEIGHT - EDGE.top - EDGE.bottom;
  return {
    left, right, low, high,
    x: (step) => EDGE.left + ((step - left) / (right - left)) * across,
    y: (loss) => EDGE.top + ((high - loss) / (high - low)) * down,
    step: (x) => left + ((x - EDGE.left) / across) * (right - left),
  };
}

function chart(svg, curves) {
  const points = [...(curves.train || []), ...(curves.eval || [])];
  svg.replaceChildren();
  if (!points.length) {
    const middle = { x: WIDTH / 2, y: HEIGHT / 2, "text-anchor": "middle" };
    svg.append(shape("text", "tick", middle, "The curves begin with the first steps"));
    svg.setAttribute("aria-label", "Loss over steps: nothing yet");
    return null;
  }
  const on = frame(points);
  const [bottom, end] = [HEIGHT - EDGE.bottom, WIDTH - EDGE.right];
  for (const loss of ticks(on.low, on.high, 4)) {
    const y = on.y(loss);
    svg.append(shape("line", "grid", { x1: EDGE.left, x2: end, y1: y, y2: y }));
    const place = { x: EDGE.left - 6, y: y + 4, "text-anchor": "end" };
    svg.append(shape("text", "tick", place, brief(loss)));
  }
  const marks = ticks(on.left, on.right, 6).filter((each) => Number.isInteger(each));
  for (const step of marks) {
    const place = { x: on.x(step), y: HEIGHT - 8, "text-anchor": "middle" };
    svg.append(shape("text", "tick", place, brief(step)));
  }
  svg.append(shape("path", "axis", { d: `M${EDGE.left} ${EDGE.top}V${bottom}H${end}` }));
  const told = [];
  for (const name of Object.keys(SERIES)) {
    const curve = curves[name] || [];
    if (!curve.length) continue;
    const path = curve.map(([step, loss]) => `${on.x(step).toFixed(1)},${on.y(loss).toFixed(1)}`);
    svg.append(shape("polyline", `line-${name}`, { points: path.join(" ") }));
    const dots = name === "eval" && curve.length < 60 ? curve : curve.slice(-1);
    for (const [step, loss] of dots) {
      svg.append(shape("circle", `dot-${name}`, { cx: on.x(step), cy: on.y(loss), r: 3 }));
    }
    const [first, last] = [curve[0], curve[curve.length - 1]];
    told.push(`${SERIES[name]} from ${brief(first[1])} to ${brief(last[1])}`);
  }
  svg.setAttribute("aria-label", `Loss over steps ${on.left} to ${on.right}: ${told.join(", ")}`);
  return on;
}

function nearest(curve, step) {
  let best;
  for (const each of curve || []) {
    if (!best || Math.abs(each[0] - step) < Math.abs(best[0] - step)) best = each;
  }
  return best;
}

// The curves with their legend, which reads out the point under the pointer.
function plot(model) {
  const root = node("figure", "plot");
  const svg = shape("svg", "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const legend = node("figcaption", "legend");
  const values = {};
  for (const [name, label] of Object.entries(SERIES)) {
    const part = node("span", "key");
    const key = shape("svg", "swatch", { viewBox: "0 0 26 10", "aria-hidden": "true" });
    key.append(shape("line", `line-${name}`, { x1: 1, x2: 25, y1: 5, y2: 5 }));
    if (name === "eval") key.append(shape("circle", "dot-eval", { cx: 13, cy: 5, r: 3 }));
    values[name] = node("span", "value", "");
    part.append(key, node("span", "", label), values[name]);
    legend.append(part);
  }
  const where = node("span", "where", "loss over steps");
  legend.append(where);
  root.append(svg, legend);
  let on = null;

  function read(step) {
    const curves = model.get("curves");
    svg.querySelector(".llmops-ft-cursor")?.remove();
    for (const name of Object.keys(SERIES)) {
      const found = step === null ? undefined : nearest(curves[name], step);
      say(values[name], found ? ` ${brief(found[1])}` : "");
    }
    if (step === null || !on) return say(where, "loss over steps");
    const at = nearest([...(curves.train || []), ...(curves.eval || [])], step);
    const x = on.x(at[0]);
    svg.append(shape("line", "cursor", { x1: x, x2: x, y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
    return say(where, `at step ${brief(at[0])}`);
  }

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    if (on) read(on.step(((event.clientX - box.left) / box.width) * WIDTH));
  });
  svg.addEventListener("pointerleave", () => read(null));
  const draw = () => {
    on = chart(svg, model.get("curves"));
  };
  return { root, draw };
}

// What is used of the memory, on the range that was estimated.
function gauge() {
  const root = node("div", "memory");
  const text = node("span", "memory-text");
  const bar = node("div", "meter", undefined, { role: "meter", "aria-label": "Memory" });
  const [range, used] = [node("div", "range"), node("div", "used")];
  bar.append(range, used);
  root.append(node("span", "label", "Memory"), text, bar);
  function draw(memory) {
    show(root, Boolean(memory));
    if (!memory) return;
    say(text, memory.text);
    used.style.width = `${100 * memory.used}%`;
    used.classList.toggle("llmops-ft-over", memory.over);
    range.style.left = `${100 * memory.low}%`;
    range.style.width = `${100 * (memory.high - memory.low)}%`;
    show(range, memory.high > 0);
    const told = { min: 0, max: 100, now: Math.round(100 * memory.used), text: memory.text };
    for (const [name, value] of Object.entries(told)) bar.setAttribute(`aria-value${name}`, value);
  }
  return { root, draw };
}

// The button: asks once, then waits for the kernel's word.
function stopper(model) {
  const root = node("div", "stop");
  const open = node("button", "button", "Stop…", { type: "button" });
  const asking = node("div", "asking", undefined, { role: "group", "aria-label": "Stop this run?" });
  const question = node("p", "question");
  const yes = node("button", "button llmops-ft-yes", "Stop the run", { type: "button" });
  const no = node("button", "button", "Keep running", { type: "button" });
  const answer = node("p", "answer", "", { role: "status", "aria-live": "polite" });
  asking.append(question, yes, no);
  root.append(open, asking, answer);
  let [asked, waiting, silent, timer] = [false, false, false, 0];

  function ask(wanted) {
    asked = wanted;
    draw();
    (wanted ? yes : open).focus();
  }

  function draw() {
    const state = model.get("state");
    const can = Boolean(state.stop);
    const busy = waiting || state.stopping;
    const inside = root.contains(document.activeElement);
    if (!can || busy) asked = false;
    show(open, can && !asked);
    show(asking, can && asked);
    open.disabled = busy;
    say(open, busy ? "Stopping…" : "Stop…");
    say(question, can ? state.stop.ask : "");
    say(answer, silent && can && !state.stopping ? state.stop.silent : state.problem || "");
    // Who pressed a button that is gone must not fall back to the top of the page.
    if (inside && !root.contains(document.activeElement)) root.closest("section").focus();
  }

  open.addEventListener("click", () => ask(true));
  no.addEventListener("click", () => ask(false));
  yes.addEventListener("click", () => {
    waiting = true;
    timer = setTimeout(() => {
      silent = true;
      waiting = false;
      draw();
    }, WAIT_MS);
    model.send({ command: "stop", run: model.get("state").run });
    draw();
  });
  asking.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    ask(false);
  });
  let turn = model.get("state").turn;
  function changed() {
    const state = model.get("state");
    if (state.turn !== turn || !state.stop) {
      clearTimeout(timer);
      [turn, waiting, silent] = [state.turn, false, false];
    }
    draw();
  }
  return { root, draw: changed, end: () => clearTimeout(timer) };
}

function checks(found, list) {
  list.replaceChildren();
  for (const each of found.checks) {
    const item = node("li", `check llmops-ft-${each.state === "stop" ? "bad" : "warn"}`);
    item.append(node("strong", "", `${each.name} (${each.state}): `));
    item.append(node("span", "", each.detail ? `${each.said}: ${each.detail}` : each.said));
    if (each.hint) item.append(node("span", "hint", ` ${each.hint}`));
    list.append(item);
  }
}

function render({ model, el }) {
  const root = node("section", "root", undefined, { tabindex: "-1", role: "group" });
  const head = node("header", "head");
  const name = node("span", "name");
  const badge = node("span", "badge", "", { role: "status", "aria-live": "polite" });
  const stop = stopper(model);
  head.append(name, badge, stop.root);
  const track = node("div", "track", undefined, { role: "progressbar", "aria-valuemin": 0,
    "aria-valuemax": 100 }); // prettier-ignore
  const fill = node("div", "fill");
  track.append(fill);
  const course = node("p", "course");
  const [done, left] = [node("span", ""), node("span", "left")];
  course.append(done, left);
  const curves = plot(model);
  const memory = gauge();
  const figures = node("dl", "figures");
  const side = node("div", "side");
  side.append(figures, memory.root);
  const body = node("div", "body");
  body.append(curves.root, side);
  const preflight = node("details", "preflight");
  const verdict = node("summary", "verdict");
  const list = node("ul", "checks");
  preflight.append(verdict, list);
  const sample = node("div", "sample");
  const [asked, said] = [node("p", "label"), node("blockquote", "said")];
  sample.append(asked, said);
  const told = node("div", "told");
  root.append(head, track, course, body, preflight, sample, told);
  el.append(root);
  let [judged, ended] = ["", ""];

  function draw() {
    const state = model.get("state");
    root.setAttribute("aria-label", `Training of ${state.name}`);
    root.dataset.tone = state.tone;
    say(name, state.name);
    say(badge, state.headline);
    say(done, state.done);
    say(left, state.left);
    fill.style.width = `${100 * (state.share || 0)}%`;
    track.setAttribute("aria-label", `Steps of ${state.name}`);
    track.setAttribute("aria-valuetext", state.done);
    if (state.share === null) track.removeAttribute("aria-valuenow");
    else track.setAttribute("aria-valuenow", Math.round(100 * state.share));
    figures.replaceChildren();
    for (const [label, value] of state.figures) {
      const row = node("div", "row");
      row.append(node("dt", "label", label), node("dd", "figure", value));
      figures.append(row);
    }
    memory.draw(state.memory);
    show(preflight, Boolean(state.preflight));
    const found = state.preflight && JSON.stringify(state.preflight);
    if (found && found !== judged) {
      judged = found; // not at each step: a list that was opened stays as it was left
      say(verdict, `Pre-flight: ${state.preflight.verdict}. ${state.preflight.text}.`);
      checks(state.preflight, list);
      preflight.open = state.preflight.verdict === "stop";
      preflight.classList.toggle("llmops-ft-empty", !state.preflight.checks.length);
    }
    show(sample, Boolean(state.sample));
    if (state.sample) {
      say(asked, state.sample.title);
      say(said, state.sample.text);
    }
    if (ended !== JSON.stringify(state.told)) {
      ended = JSON.stringify(state.told);
      told.replaceChildren(...state.told.map((line) => node("p", "line", line)));
    }
    stop.draw();
  }

  model.on("change:state", draw);
  model.on("change:curves", curves.draw);
  curves.draw();
  draw();
  return () => {
    stop.end();
    model.off("change:state", draw);
    model.off("change:curves", curves.draw);
  };
}

export default { render };
