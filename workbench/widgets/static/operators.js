// Stages, blocks and operators as a tree of rows, to go down into.

import { fill, h, rove } from "./dom.js";

const HEADS = ["Operator", "Kind", "Output", "Time", "Share", "Cycles", "Bound by", "Alive"];

export function operators(context) {
  const body = h("tbody", {});
  const table = h(
    "table", { class: "wb-table wb-tree", role: "treegrid", "aria-label": "Stages, blocks and operators" },
    h("thead", {}, h("tr", {}, ...HEADS.map((text) => h("th", { scope: "col" }, text)))), body,
  );
  const root = h("div", { class: "wb-panel", "data-panel": "operators", hidden: true }, h("div", { class: "wb-scroll" }, table));
  const open = new Set();
  let current = null;

  function rows() {
    const view = context.view();
    const on = new Set(context.selection());
    const list = [];
    const stages = [];
    view.blocks.forEach((block, i) => {
      if (on.size && !on.has(block.name)) return;
      const last = stages[stages.length - 1];
      if (last && last.name === block.stage && !on.size) last.members.push(i);
      else stages.push({ name: block.stage, members: [i] });
    });
    for (const stage of stages) {
      const alone = on.size > 0 || stage.members.length === 1;
      const key = `stage ${stage.members[0]}`;
      if (!alone) {
        const blocks = stage.members.map((i) => view.blocks[i]);
        const ms = blocks.reduce((sum, block) => sum + (block.latency_ms ?? 0), 0);
        const share = blocks.reduce((sum, block) => sum + (block.share ?? 0), 0);
        list.push({ key, level: 1, branch: true, cells: [stage.name, `${blocks.length} blocks`, blocks[blocks.length - 1].shape, `${ms.toPrecision(3)} ms`, `${(100 * share).toFixed(1)} %`, "", "", ""] });
        if (!open.has(key)) continue;
      }
      for (const i of stage.members) {
        const block = view.blocks[i];
        const level = alone ? 1 : 2;
        const name = `block ${block.name}`;
        const shown = on.size > 0 && on.size <= 3; // what is selected stands open
        const expanded = open.has(name) || shown;
        list.push({ key: name, level, branch: block.steps > 0, forced: shown, block: block.name, cells: [block.name, block.what, block.shape, block.latency_text, block.share_text, "", block.bound, ""] });
        if (!expanded) continue;
        view.steps.forEach((step, number) => {
          if (step[0] !== i) return;
          const [, label, kind, shape, ms, latency, cycles, bound, , , , alive] = step;
          list.push({ key: `step ${number}`, level: level + 1, cells: [label, kind, shape, latency, block.latency_ms ? `${((100 * (block.share * ms)) / block.latency_ms).toFixed(1)} %` : "", cycles, bound, alive] });
        });
      }
    }
    return list;
  }

  function draw() {
    if (root.hidden) return;
    const had = body.contains(document.activeElement);
    const list = rows();
    if (!list.some((row) => row.key === current)) current = list[0]?.key ?? null;
    fill(body, ...list.map((row) => {
      const expanded = row.forced || open.has(row.key);
      const node = h(
        "tr",
        {
          role: "row", tabindex: "-1", "data-key": row.key, "aria-level": row.level, class: `wb-level-${row.level}`,
          "aria-expanded": row.branch ? String(expanded) : null,
          onclick: () => { current = row.key; if (row.branch) flip(row.key); else node.focus(); },
          onkeydown: (event) => key(event, node, row, expanded),
        },
        ...row.cells.map((text, i) => h("td", { role: "gridcell" },
          i === 0 && row.branch ? h("span", { class: "wb-turn", "aria-hidden": "true" }, expanded ? "\u25be" : "\u25b8") : null,
          i === 6 && text ? h("i", { class: `wb-dot wb-bound-${text}` }) : null,
          i === 0 ? h("code", {}, text) : text)),
      );
      return node;
    }));
    const stop = [...body.children].find((node) => node.dataset.key === current);
    rove(body.children, stop);
    if (had) stop?.focus();
  }

  function flip(name) {
    if (!open.delete(name)) open.add(name);
    draw();
    [...body.children].find((node) => node.dataset.key === name)?.focus();
  }

  function key(event, node, row, expanded) {
    const to = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling, Home: body.firstElementChild, End: body.lastElementChild };
    if (event.key in to) {
      const next = to[event.key];
      if (next) {
        current = next.dataset.key;
        rove(body.children, next);
        next.focus();
      }
    } else if ((event.key === "ArrowRight" && row.branch && !expanded) || (event.key === "ArrowLeft" && row.branch && expanded)) flip(row.key);
    else if (event.key === "Enter" && row.block) context.select([row.block]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  context.on("view", draw);
  context.on("selection", draw);
  return { root, draw };
}
