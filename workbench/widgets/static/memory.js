// The memory track, on the axis of time: bytes alive at every step, the tensors behind them, the peak, the budget.

import { niceCeiling, placeAt, places, tick } from "./axis.js";
import { clamp, fill, h, percent, shape } from "./dom.js";

export function memoryTrack(context, tip) {
  const axis = h("div", { class: "wb-axis", "aria-hidden": "true" });
  const drawing = shape("svg", { class: "wb-drawing", width: "100%", height: "100%", "aria-hidden": "true" });
  const cross = h("i", { class: "wb-cross", hidden: true });
  const limit = h("i", { class: "wb-memory-limit", hidden: true });
  const peak = h("button", { type: "button", class: "wb-peak", onclick: () => toPeak() });
  const plot = h(
    "div",
    {
      class: "wb-walk", role: "slider", tabindex: "0", "aria-label": "Feature maps alive, step by step",
      "aria-valuemin": "0", "aria-valuenow": "0",
      onpointermove: (event) => point(event), onpointerleave: () => leave(), onkeydown: (event) => key(event),
      onblur: () => leave(), onclick: (event) => choose(event),
    },
    drawing, limit, cross,
  );
  const root = h("div", { class: "wb-track wb-memory" }, axis, h("div", { class: "wb-plot" }, plot, peak));
  let spots = null;
  let ceiling = 1;
  const [now, then] = [shape("g", {}), shape("g", {})];
  drawing.append(now, then);
  let at = 0; // the step the keyboard is on

  function draw() {
    const view = context.view();
    root.hidden = view.peak === null;
    if (root.hidden) return;
    spots = places(view, context.width);
    const budget = context.get("budgets").sram_bytes;
    const most = view.steps[view.peak][10];
    ceiling = highest();
    fill(axis,
      h("span", { class: "wb-axis-name" }, "Memory"),
      h("span", { class: "wb-tick", style: "bottom:100%" }, tick(ceiling / 1024, " KiB")),
    );
    fill(now, ...view.steps.map((step, i) => rect("wb-alive", spots.steps[i].left, spots.steps[i].width, step[10])));
    fill(then, ...ghostRects());
    plot.setAttribute("aria-valuemax", String(view.steps.length - 1));
    limit.hidden = !budget;
    if (budget) limit.style.bottom = percent(budget.value / ceiling);
    limit.title = budget ? `budget ${budget.text}` : "";
    const spot = spots.steps[view.peak];
    peak.style.left = percent(clamp(spot.left + spot.width / 2, 0.04, 0.94));
    peak.style.bottom = percent(most / ceiling);
    peak.textContent = `peak ${view.steps[view.peak][11]}`;
    peak.setAttribute("aria-label", `Peak of ${view.steps[view.peak][11]} in ${view.blocks[view.steps[view.peak][0]].name}; select it`);
    at = clamp(at, 0, view.steps.length - 1);
  }

  /** The top of the axis, in bytes. */
  function highest() {
    const view = context.view();
    const ahead = Object.values(context.ghost()?.blocks ?? {}).flatMap((change) => change[2]);
    return 1024 * niceCeiling(Math.max(view.steps[view.peak][10], context.get("budgets").sram_bytes?.value ?? 0, ...ahead) / 1024);
  }

  /** While somebody points along the table only the ghost is drawn anew, unless it is higher than the axis. */
  function drawGhost() {
    if (root.hidden) return;
    if (highest() === ceiling) fill(then, ...ghostRects());
    else draw();
  }

  function rect(kind, left, width, bytes) {
    const height = bytes / ceiling;
    return shape("rect", { class: kind, x: percent(left), width: percent(width), y: percent(1 - height), height: percent(height) });
  }

  /** Blocks that change: what would be alive, in the columns they have now. */
  function ghostRects() {
    const blocks = context.ghost()?.blocks ?? {};
    return Object.entries(blocks).flatMap(([number, [, , live]]) => {
      const { left, width } = spots.blocks[number];
      if (!live.length) return [rect("wb-alive-then", left, width, 0)];
      return live.map((bytes, i) => rect("wb-alive-then", left + (i * width) / live.length, width / live.length, bytes));
    });
  }

  function show(step, x, y) {
    const view = context.view();
    const [block, label, kind, size, , latency, cycles, bound, , , , alive, tensors] = view.steps[step];
    at = step;
    cross.hidden = false;
    cross.style.left = percent(spots.steps[step].left);
    cross.style.width = percent(spots.steps[step].width);
    const title = `${alive} alive`;
    const lines = [
      `at ${view.blocks[block].name} \u00b7 ${label}`, `${kind} \u00b7 ${size} \u00b7 ${latency}${cycles ? ` \u00b7 ${cycles} cycles` : ""} \u00b7 bound by ${bound}`,
      ...tensors.map((number) => `\u2022 ${view.tensors[number]}`),
    ];
    plot.setAttribute("aria-valuenow", String(step));
    plot.setAttribute("aria-valuetext", [title, ...lines].join(", "));
    tip.show(title, lines, x, y);
  }

  function leave() {
    cross.hidden = true;
    tip.hide();
  }

  function stepAt(event) {
    const box = plot.getBoundingClientRect();
    return placeAt(spots.steps, (event.clientX - box.left) / box.width);
  }
  function point(event) {
    if (spots) show(stepAt(event), event.clientX, event.clientY);
  }
  function choose(event) {
    context.focused = context.view().blocks[context.view().steps[stepAt(event)][0]].name;
    context.select([context.focused]);
  }
  function toPeak() {
    const view = context.view();
    context.focused = view.blocks[view.steps[view.peak][0]].name;
    context.select([context.focused]);
  }

  function key(event) {
    const view = context.view();
    const last = view.steps.length - 1;
    const moves = { ArrowRight: 1, ArrowLeft: -1, PageUp: -10, PageDown: 10, Home: -last, End: last };
    if (event.key === "Enter" || event.key === " ") {
      context.focused = view.blocks[view.steps[at][0]].name;
      context.select([context.focused]);
    } else if (event.key === "Escape") {
      leave();
    } else if (event.key in moves) {
      const step = clamp(at + moves[event.key], 0, last);
      const box = plot.getBoundingClientRect();
      show(step, box.left + box.width * spots.steps[step].left, box.top + box.height / 2);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  for (const name of ["view", "look", "budgets"]) context.on(name, draw);
  context.on("ghost", drawGhost);
  return { root, draw };
}
