// Runs the training view's front end in a document of the least that it uses, and prints as JSON
// what a person would see and hear. `node finetune_dom.mjs finetune.js STATES.json`

import { readFileSync } from "node:fs";

class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], parent: null, attributes: {}, style: {}, dataset: {} });
    Object.assign(this, { hidden: false, disabled: false, spoken: 0, own: "", heard: {} });
    this.classList = {
      toggle: (name, on) => {
        const kept = this.className.split(" ").filter((each) => each && each !== name);
        this.className = [...kept, ...(on ? [name] : [])].join(" ");
      },
    };
  }
  get className() { return this.attributes.class || ""; }
  set className(value) { this.attributes.class = value; }
  get textContent() { return this.own + this.children.map((each) => each.textContent).join(""); }
  set textContent(value) { this.spoken += 1; this.children = []; this.own = String(value); }
  set innerHTML(_) { throw new Error("text is set as HTML"); }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  removeAttribute(name) { delete this.attributes[name]; }
  append(...nodes) { for (const each of nodes) { each.parent = this; this.children.push(each); } }
  replaceChildren(...nodes) { this.children = []; this.own = ""; this.append(...nodes); }
  remove() { this.parent.children = this.parent.children.filter((each) => each !== this); }
  addEventListener(name, call) { (this.heard[name] ||= []).push(call); }
  fire(name, event = {}) {
    const told = { preventDefault() {}, stopPropagation() {}, ...event };
    for (let at = this; at; at = at.parent) for (const call of at.heard[name] || []) call(told);
  }
  focus() { document.activeElement = this; }
  contains(other) {
    for (let at = other; at; at = at.parent) if (at === this) return true;
    return false;
  }
  closest(tag) { return this.tag === tag ? this : this.parent && this.parent.closest(tag); }
  getBoundingClientRect() { return { left: 0, width: 560 }; }
  all() { return [this, ...this.children.flatMap((each) => each.all())]; }
  named(name) { return this.all().filter((each) => each.className.split(" ").includes(`llmops-ft-${name}`)); }
  querySelector(selector) { return this.all().find((each) => selector === `.${each.className}`); }
}

globalThis.document = {
  activeElement: null,
  createElement: (tag) => new Element(tag),
  createElementNS: (_, tag) => new Element(tag),
};
const timers = [];
globalThis.setTimeout = (call) => timers.push(call);
globalThis.clearTimeout = (number) => { if (number) timers[number - 1] = () => {}; };

const source = readFileSync(process.argv[2], "utf8");
const { default: widget } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const given = JSON.parse(readFileSync(process.argv[3], "utf8"));

const sent = [];
const listeners = {};
const values = { state: given.running, curves: given.curves };
const model = {
  get: (name) => values[name],
  send: (message) => sent.push(message),
  on: (name, call) => { (listeners[name] ||= []).push(call); },
  off: (name, call) => { listeners[name] = listeners[name].filter((each) => each !== call); },
};
function tell(name, value) {
  values[name] = value;
  for (const call of listeners[`change:${name}`]) call();
}

const el = new Element("div");
const end = widget.render({ model, el });
const one = (name) => el.named(name)[0];
const [open, yes, no] = el.named("button");
const seen = {};
function look(label) {
  seen[label] = {
    badge: one("badge").textContent, open: open.hidden ? null : open.textContent,
    disabled: open.disabled, asking: !one("asking").hidden, question: one("question").textContent,
    answer: one("answer").textContent, told: one("told").textContent, sent: sent.length,
    focus: document.activeElement && document.activeElement.textContent,
  };
}

look("running");
const points = (name) => (one(name).attributes.points || "").split(" ").length;
seen.curves = { train: points("line-train"), eval: points("line-eval"), label: one("svg").attributes["aria-label"] };
seen.course = { ...one("track").attributes };
seen.meter = { ...one("meter").attributes };
seen.text = el.textContent;
one("svg").fire("pointermove", { clientX: 550 });
seen.hover = one("legend").textContent;
one("svg").fire("pointerleave");
seen.left = one("legend").textContent;
const before = one("badge").spoken;
tell("state", { ...given.running, done: "Step 9 of 9" });
seen.badge_spoken = one("badge").spoken - before;
open.fire("click");
look("asked");
one("asking").fire("keydown", { key: "Escape" });
look("kept");
open.fire("click");
no.fire("click");
look("refused");
open.fire("click");
yes.fire("click");
look("sent");
seen.message = sent[0];
timers.splice(0).forEach((call) => call());
look("silent");
tell("state", { ...given.stopping, turn: 1 });
look("stopping");
tell("state", { ...given.running, turn: 2, problem: "No" });
look("problem");
tell("state", { ...given.ended, turn: 2 });
look("ended");
tell("curves", { train: [], eval: [] });
seen.empty = one("svg").attributes["aria-label"];
end();
seen.listeners = Object.values(listeners).flat().length;
process.stdout.write(JSON.stringify(seen));
