// Below the tracks: the stages, and in them the blocks by what is left of their names; what does not fit is cut at the left.

import { places } from "./axis.js";
import { fill, h, percent } from "./dom.js";

export function stageRow(context) {
  const plot = h("div", { class: "wb-plot", role: "group", "aria-label": "Stages" });
  const root = h("div", { class: "wb-track wb-stages" }, h("div", { class: "wb-axis" }), plot);

  function draw() {
    const view = context.view();
    const spots = places(view, context.width).blocks;
    const stages = [];
    view.blocks.forEach((block, i) => {
      const last = stages[stages.length - 1];
      if (last && last.name === block.stage) last.members.push(i);
      else stages.push({ name: block.stage, members: [i] });
    });
    fill(plot, ...stages.map(({ name, members }) => {
      const left = spots[members[0]].left;
      const width = members.reduce((sum, i) => sum + spots[i].width, 0);
      const blocks = members.map((i) => view.blocks[i]);
      const grouped = blocks.length > 1 || blocks[0].label !== blocks[0].name;
      return h(
        "div", { class: "wb-stage", style: `left:${percent(left)};width:${percent(width)}` },
        h("div", { class: "wb-members" },
          ...blocks.map((block, j) => h("span", { class: "wb-cut", style: `width:${percent(spots[members[j]].width / width)}`, "aria-hidden": "true" },
            grouped ? h("bdi", {}, block.label.match(/\d+$/)?.[0] ?? block.label.replace(/^\./, "")) : "\u00a0"))),
        h("button", {
          type: "button", class: "wb-cut", tabindex: "-1", title: `${name}: ${blocks.length} block${blocks.length === 1 ? "" : "s"}`,
          "aria-label": `Select ${name}`, onclick: () => context.select(blocks.map((block) => block.name)),
        }, h("bdi", {}, name)),
      );
    }));
    drawChosen();
  }

  function drawChosen() {
    const on = new Set(context.selection());
    const view = context.view();
    plot.querySelectorAll(".wb-members > span").forEach((node, i) => node.classList.toggle("wb-on", on.has(view.blocks[i].name)));
  }

  context.on("view", draw);
  context.on("look", draw);
  context.on("selection", drawChosen);
  return { root, draw };
}
