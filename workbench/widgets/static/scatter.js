// Branches as points: time to the right, SRAM upwards, the budgets as lines; a point is a place to go to.

import { niceCeiling, tick } from "./axis.js";
import { fill, h, percent } from "./dom.js";

export function scatter(context) {
  const plot = h("div", { class: "wb-points" });
  const root = h("div", { class: "wb-scatter", "aria-hidden": "true" }, plot, h("div", { class: "wb-points-foot" }));

  function draw() {
    const { nodes, current } = context.get("branches");
    const points = nodes.filter((node) => node.latency_ms !== null);
    root.hidden = points.length < 2;
    if (root.hidden) return;
    const budgets = context.get("budgets");
    const wide = niceCeiling(1.02 * Math.max(...points.map((node) => node.latency_ms), budgets.latency_ms?.value ?? 0));
    const high = 1024 * niceCeiling((1.05 * Math.max(...points.map((node) => node.sram_bytes), budgets.sram_bytes?.value ?? 0)) / 1024);
    fill(
      plot,
      budgets.latency_ms ? h("i", { class: "wb-line-x", style: `left:${percent(budgets.latency_ms.value / wide)}` }) : null,
      budgets.sram_bytes ? h("i", { class: "wb-line-y", style: `bottom:${percent(budgets.sram_bytes.value / high)}` }) : null,
      ...points.map((node) => h("i", {
        class: `wb-point${node.number === current ? " wb-here" : ""}`, style: `left:${percent(node.latency_ms / wide)};bottom:${percent(node.sram_bytes / high)}`,
        title: `${node.text}: ${node.latency_text}, SRAM ${node.sram_text}`, onclick: () => context.send("go", { node: node.number }),
      }, h("span", {}, String(node.number)))),
    );
    fill(root.lastElementChild, h("span", {}, "0"), h("span", {}, `SRAM up to ${tick(high / 1024, " KiB")} \u2191   latency \u2192`), h("span", {}, tick(wide, " ms")));
  }

  context.on("budgets", draw);
  return { root, draw };
}
