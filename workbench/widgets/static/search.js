// The search: what it is started with, where it stands, and its front; it runs in a process of its own.

import { fill, h } from "./dom.js";
import { front } from "./front.js";

const COUNTS = [["trials", "Trials", 1], ["epochs", "Epochs each", 1], ["pictures", "Pictures to fit on", 8], ["seed", "Seed", 0], ["workers", "Processes", 1]];
const ORDERS = { pause: "Pause", resume: "Go on", cancel: "Cancel" };

export function search(context) {
  const drawing = front(context);
  const fields = {};
  const why = h("p", { class: "wb-note", role: "note", hidden: true });
  const within = h("p", { class: "wb-about wb-muted" });
  const start = h("button", { type: "submit", "data-action": "search" }, "Search");
  const tasks = h("datalist", { id: `tasks-${context.uid}` });
  const form = h(
    "form", { class: "wb-search-form", "aria-label": "A search", onsubmit: (event) => { event.preventDefault(); begin(); } },
    field("task", "Task: a folder, or a name", h("input", { type: "text", list: tasks.id, autocomplete: "off", spellcheck: "false" }), "wb-wide"),
    field("strategy", "Strategy", h("select", {})), field("objective", "Accuracy against", h("select", {})),
    ...COUNTS.map(([name, text, least]) => field(name, text, h("input", { type: "number", min: least, step: "1", placeholder: name === "workers" ? "one a core" : null }))),
    h("div", { class: "wb-buttons" }, start), tasks,
  );
  const words = h("span", { class: "wb-standing", role: "status" });
  const bar = h("progress", { max: "1", value: "0", "aria-label": "The search" });
  const spinner = h("i", { class: "wb-spinner", "aria-hidden": "true" });
  const orders = h("span", { class: "wb-buttons" });
  const progress = h("p", { class: "wb-progress", hidden: true }, bar, spinner, words, h("span", { class: "wb-space" }), orders);
  const code = h("code", {});
  const python = h("div", { class: "wb-code", role: "region", tabindex: "0", "aria-label": "The search as Python", hidden: true }, h("pre", {}, code));
  const root = h("div", { class: "wb-panel", "data-panel": "search", tabindex: "-1", hidden: true }, why, form, within, progress, drawing.root, python);
  let typed = false; // somebody named a task: what the session names no longer takes its place

  function field(name, text, control, cls = "") {
    control.id = `search-${name}-${context.uid}`;
    control.dataset.field = `search-${name}`;
    if (name === "task") control.addEventListener("input", () => { typed = true; });
    fields[name] = control;
    return h("div", { class: `wb-field ${cls}` }, h("label", { for: control.id }, text), control);
  }

  function begin() {
    const values = { task: fields.task.value.trim(), strategy: fields.strategy.value, objective: fields.objective.value };
    for (const [name] of COUNTS) if (fields[name].value !== "") values[name] = Number(fields[name].value);
    context.send("search", values);
  }

  function drawForm() {
    const offer = context.get("search");
    why.textContent = offer.why ?? "";
    why.hidden = !offer.why;
    form.hidden = within.hidden = Boolean(offer.why);
    if (offer.why || !offer.strategies) return;
    if (!typed) fields.task.value = offer.task;
    fill(tasks, ...offer.tasks.map((name) => h("option", { value: name })));
    for (const [name, list] of [["strategy", offer.strategies], ["objective", offer.objectives]]) {
      const chosen = fields[name].value;
      fill(fields[name], ...list.map(([value, text]) => h("option", { value, title: text }, name === "strategy" ? value : text)));
      if (chosen) fields[name].value = chosen;
    }
    for (const [name, value] of Object.entries(offer.counts)) if (fields[name].value === "") fields[name].value = String(value);
    drawWithin();
  }

  function drawWithin() {
    const offer = context.get("search");
    if (!offer.strategies) return;
    const meaning = offer.strategies.find(([name]) => name === fields.strategy.value)?.[1] ?? "";
    const budgets = Object.values(context.get("budgets"));
    const limits = budgets.length ? `within ${budgets.map((budget) => `${budget.label} ${budget.text}`).join(", ")}` : "no budget is set; one under the gauges binds the search, too";
    within.textContent = `${fields.strategy.value}: ${meaning}; ${limits}.`;
  }

  function drawProgress() {
    const { stage, text, share, can = [] } = context.get("searched");
    const had = orders.contains(document.activeElement);
    progress.hidden = !stage;
    words.textContent = text ?? "";
    words.classList.toggle("wb-failed", stage === "failed");
    bar.value = share ?? 0;
    const ended = ["done", "cancelled", "failed", "stopped"].includes(stage);
    spinner.hidden = ended || stage === "paused";
    start.setAttribute("aria-disabled", String(Boolean(stage) && !ended));
    const names = [...orders.children].map((node) => node.dataset.action).join();
    if (names !== can.join()) {
      fill(orders, ...can.map((name) => h("button", { type: "button", "data-action": name, onclick: () => context.send(name) }, ORDERS[name])));
      if (had) (orders.firstElementChild ?? root).focus({ preventScroll: true }); // the button that had the focus is gone
    }
  }

  function drawCode() {
    code.textContent = context.get("search_code").join("\n");
    python.hidden = !code.textContent;
  }

  fields.strategy.addEventListener("change", drawWithin);
  context.on("search", drawForm);
  context.on("budgets", drawWithin);
  context.on("searched", drawProgress);
  context.on("search_code", drawCode);
  return { root, draw: () => { drawForm(); drawProgress(); drawCode(); drawing.draw(); } };
}
