// The first sentence, for who has never seen the network: what it costs, why, and three ways to begin; and the plan.

import { fill, h } from "./dom.js";

export function opening(context, show) {
  const root = h("div", { class: "wb-opening" });

  function draw() {
    const plan = context.get("plan");
    const { sentence } = context.get("advice");
    const budgets = Object.values(context.get("budgets"));
    fill(root, ...[plan.text ? planLine(plan) : null, sentence && !plan.text ? words(sentence, budgets) : null].filter(Boolean));
    root.hidden = !root.children.length;
  }

  function words(sentence, budgets) {
    const missed = budgets.filter((budget) => budget.met === false);
    const best = context.get("table").of?.length ? null : (context.get("table").rows ?? []).find((row) => row.first);
    const over = best ?? null;
    return h(
      "p", {}, h("span", {}, sentence), " ",
      h("span", { class: "wb-ways" },
        over
          ? h("button", {
            type: "button", "data-way": "best", onclick: () => context.send("apply", { steps: over.steps, name: over.what }),
            onpointerenter: () => context.point(over.ghost), onpointerleave: () => context.point(null),
            onfocus: () => context.point(over.ghost), onblur: () => context.point(null),
          }, `${over.where === "whole network" ? over.what : `${over.what} ${over.where}`} ${over.cells.latency_ms.percent}`)
          : null,
        missed.length
          ? h("button", { type: "button", "data-way": "meet", "data-action": "plan", onclick: () => context.send("plan") }, "Meet the budgets")
          : h("button", { type: "button", "data-way": "budget", onclick: () => show.budget() }, "Set a budget"),
        h("button", { type: "button", "data-way": "why", onclick: () => show.why() }, "Show me why")),
    );
  }

  function planLine(plan) {
    return h(
      "p", { class: "wb-plan" },
      h("b", {}, plan.running ? "Plan for the budgets: " : "Plan: "), h("span", {}, plan.text), " ",
      plan.running ? h("progress", { max: "1", value: String(plan.share ?? 0), "aria-label": "Plan" }) : null,
      h("span", { class: "wb-ways" },
        plan.running ? h("button", { type: "button", "data-action": "stop", onclick: () => context.send("stop") }, "Stop") : null,
        plan.ready ? h("button", { type: "button", "data-action": "adopt", onclick: () => context.send("adopt") }, "Take it") : null,
        plan.running ? null : h("button", { type: "button", "data-action": "plan", onclick: () => context.send("plan") }, "Look again")),
    );
  }

  for (const name of ["advice", "budgets", "plan", "table"]) context.on(name, draw);
  return { root, draw };
}
