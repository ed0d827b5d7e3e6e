// Totals as gauges: the value with its interval, the budget as a mark, and what is pointed at as a ghost.

import { fill, h, percent } from "./dom.js";

const BUDGETS = { latency_ms: ["ms", 1], sram_bytes: ["KiB", 1024], weight_bytes: ["KiB", 1024] };
const COSTS = new Set(["latency_ms", "sram_bytes", "peak_activation_bytes", "weight_bytes"]);

export function gauges(context) {
  const root = h("div", { class: "wb-totals", role: "group", "aria-label": "Totals" });
  let edited = null; // the metric whose budget is being typed
  let drawn = new Map(); // metric -> where its ghost goes, and the end of its bar

  function draw() {
    const had = root.contains(document.activeElement) ? document.activeElement.dataset.budget : undefined;
    const totals = Object.entries(context.view().totals);
    drawn = new Map();
    fill(root, ...totals.map(([name, total]) => gauge(name, total)), accuracy());
    drawGhost();
    if (had && !edited) root.querySelector(`[data-budget="${had}"]`)?.focus();
    if (edited) root.querySelector("input")?.focus();
  }

  /** Less is better of a cost, and where there is a budget, within it is enough; counts have no mood. */
  function mood(name, part) {
    const budget = context.get("budgets")[name];
    if (!COSTS.has(name)) return "wb-same";
    if (budget && part.value !== null) return part.value <= budget.value * (1 + 1e-9) ? "wb-better" : "wb-worse";
    return `wb-${part.mood || "same"}`;
  }

  function gauge(name, total) {
    const budget = context.get("budgets")[name];
    const ahead = context.ghost()?.totals?.[name]?.value ?? 0;
    const top = 1.12 * Math.max(total.value ?? 0, total.baseline ?? 0, ahead, budget?.value ?? 0, 1e-12);
    const line = h("div", { class: "wb-line" }, h("span", { class: "wb-value" }, total.text));
    const then = h("i", { class: "wb-then", hidden: true });
    drawn.set(name, { line, then, top });
    const moved = total.mood === "better" || total.mood === "worse";
    const missed = budget && budget.met === false;
    return h(
      "div", { class: `wb-total${missed ? " wb-missed" : ""}`, title: total.meaning, "data-total": name },
      h("div", { class: "wb-label" }, h("span", {}, total.label), h("span", { class: "wb-word" }, total.figures)),
      line,
      COSTS.has(name) && total.value !== null ? bar(total, budget, top, then) : h("div", { class: "wb-bar-none" }),
      h("div", { class: "wb-from" },
        moved ? h("span", { class: mood(name, total) }, total.change) : null,
        moved ? ` from ${total.baseline_text}` : total.interval || "\u00a0"),
      moved && total.interval ? h("div", { class: "wb-from" }, total.interval) : null,
      name in BUDGETS ? budgetLine(name, budget) : null,
    );
  }

  /** While somebody points along the table only the ghosts change, unless one is longer than its bar. */
  function drawGhost() {
    const { totals } = context.view();
    const ahead = context.ghost()?.totals ?? {};
    if (Object.entries(ahead).some(([name, part]) => part.value > (drawn.get(name)?.top ?? Infinity))) draw();
    else for (const [name, places] of drawn) ghostOf(name, totals[name], ahead[name], places);
  }

  function ghostOf(name, total, ahead, { line, then, top }) {
    line.querySelector(".wb-ahead")?.remove();
    then.hidden = !ahead || ahead.value === null || total.value === null;
    if (!ahead) return;
    line.append(h(
      "span", { class: "wb-ahead", "data-preview": name, "aria-label": `would be ${ahead.text}, ${ahead.change}` },
      "\u2192\u2009", h("b", {}, ahead.text), " ", h("span", { class: mood(name, ahead) }, ahead.change)));
    if (then.hidden) return;
    then.className = `wb-then ${mood(name, ahead)}`;
    then.style.left = percent(Math.min(ahead.value, total.value) / top);
    then.style.width = percent(Math.abs(ahead.value - total.value) / top);
  }

  function bar(total, budget, top, then) {
    const at = (value) => percent(value / top);
    return h(
      "div", { class: "wb-gauge", "aria-hidden": "true" },
      h("i", { class: "wb-fill", style: `width:${at(total.value)}` }),
      total.range ? h("i", { class: "wb-range", style: `left:${at(total.range[0])};width:${at(total.range[1] - total.range[0])}` }) : null,
      total.baseline !== null && total.baseline !== total.value ? h("i", { class: "wb-was", style: `left:${at(total.baseline)}` }) : null,
      then,
      budget ? h("i", { class: "wb-limit", style: `left:${at(budget.value)}` }) : null,
    );
  }

  function budgetLine(name, budget) {
    const [unit, by] = BUDGETS[name];
    if (edited === name) {
      const finish = (keep) => {
        if (edited !== name) return;
        edited = null;
        const text = input.value.trim();
        if (!keep || !context.send("budget", { metric: name, value: text === "" ? null : Number(text) })) draw();
      };
      const input = h("input", {
        type: "number", step: "any", min: "0", value: budget ? budget.value / by : null, "data-field": `budget-${name}`,
        "aria-label": `Budget in ${unit}; empty for none`,
        onkeydown: (event) => {
          if (event.key === "Enter" || event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            finish(event.key === "Enter");
          }
        },
        onblur: () => finish(true),
      });
      return h("div", { class: "wb-budget" }, input, h("span", {}, unit));
    }
    const text = budget ? `${budget.met === false ? "over" : "within"} ${budget.text}` : "set budget";
    return h("div", { class: "wb-budget" },
      h("button", {
        type: "button", class: `wb-link ${budget ? (budget.met === false ? "wb-worse" : "wb-better") : ""}`, "data-budget": name,
        "aria-label": budget ? `Budget: ${text}; change it` : "Set a budget",
        onclick: () => { edited = name; draw(); },
      }, text));
  }

  function accuracy() {
    const { text, detail, badge } = context.view().accuracy;
    return h(
      "div", { class: "wb-total", "data-total": "accuracy", title: detail },
      h("div", { class: "wb-label" }, h("span", {}, "Accuracy"), badge ? null : h("span", { class: "wb-word" }, text === "unknown" ? "" : "trained")),
      h("div", { class: "wb-line" }, badge ? h("span", { class: "wb-badge" }, badge) : h("span", { class: "wb-value" }, text)),
      h("div", { class: "wb-from wb-detail" }, detail),
    );
  }

  for (const event of ["view", "budgets"]) context.on(event, draw);
  context.on("ghost", () => { if (!edited) drawGhost(); }); // what is being typed stays
  return { root, draw, edit: (name) => { edited = name; draw(); } };
}
