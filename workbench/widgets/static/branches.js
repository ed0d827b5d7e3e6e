// Branches: every state this bench has been at, as a tree to go through and as points to compare.

import { fill, h, moodOf, rove } from "./dom.js";
import { scatter } from "./scatter.js";

export function branches(context) {
  const list = h("ul", { class: "wb-branches", role: "tree", "aria-label": "Branches" });
  const points = scatter(context);
  const root = h("div", { class: "wb-panel", "data-panel": "branches", hidden: true },
    h("p", { class: "wb-caption" }, h("b", {}, "Every state this bench has been at"), " ", h("span", { class: "wb-muted" }, "Enter goes there, c compares with it")), list, points.root);

  function draw() {
    const { nodes, current, against } = context.get("branches");
    const had = list.contains(document.activeElement) ? document.activeElement.dataset.node : undefined;
    const children = new Map(nodes.map((node) => [node.number, []]));
    for (const node of nodes) if (node.parent !== null) children.get(node.parent).push(node);
    const lines = [];
    // the first child goes on in its parent's line, others step to the right: a long line of steps stays narrow
    const walk = (node, level) => {
      lines.push([node, level]);
      const below = children.get(node.number);
      below.slice(1).forEach((child) => walk(child, level + 1));
      if (below.length) walk(below[0], level);
    };
    if (nodes.length) walk(nodes[0], 1);
    fill(list, ...lines.map(([node, level]) => line(node, level, current, against)));
    const stop = [...list.children].find((node) => node.dataset.node === (had ?? String(current)));
    rove(list.children, stop);
    points.draw();
    if (had !== undefined) stop?.focus();
  }

  function line(node, level, current, against) {
    const item = h(
      "li",
      {
        role: "treeitem", "aria-level": level, "aria-selected": String(node.number === current), tabindex: "-1", "data-node": node.number,
        class: node.number === current ? "wb-here" : null, style: `padding-left:${14 * level}px`,
        onclick: () => context.send("go", { node: node.number }), onkeydown: (event) => key(event, item, node),
      },
      h("i", { class: "wb-node", "aria-hidden": "true" }),
      node.number ? h("span", { class: "wb-muted" }, String(node.number)) : null,
      h("code", {}, node.text), " ", h("span", {}, node.latency_text), " ",
      node.change ? h("span", { class: moodOf(node.change) }, node.change) : null, " ",
      h("span", { class: "wb-muted" }, node.sram_text === "unknown" ? "" : `SRAM ${node.sram_text}`), " ",
      node.verdict ? h("span", { class: "wb-muted" }, `\u00b7 ${node.verdict}`) : null,
      h("span", { class: "wb-space" }),
      node.number === against
        ? h("span", { class: "wb-badge" }, "compared with")
        : h("button", { type: "button", tabindex: "-1", "data-compare": node.number, onclick: (event) => { event.stopPropagation(); context.send("compare", { node: node.number }); } }, "compare"),
    );
    return item;
  }

  function key(event, item, node) {
    const to = { ArrowDown: item.nextElementSibling, ArrowUp: item.previousElementSibling, Home: list.firstElementChild, End: list.lastElementChild };
    if (event.target !== item) return;
    if (event.key in to) {
      if (to[event.key]) {
        rove(list.children, to[event.key]);
        to[event.key].focus();
      }
    } else if (event.key === "Enter" || event.key === " ") context.send("go", { node: node.number });
    else if (event.key === "c") context.send("compare", { node: node.number });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  context.on("branches", draw);
  return { root, draw };
}
