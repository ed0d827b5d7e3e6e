// The time track: a column a block, its operators stacked in it, the ghost of what is pointed at as a cap.

import { niceCeiling, places, tick } from "./axis.js";
import { fill, h, percent, rove } from "./dom.js";

export function timeTrack(context, tip) {
  const axis = h("div", { class: "wb-axis", "aria-hidden": "true" });
  const list = h("div", {
    class: "wb-plot wb-columns", role: "listbox", "aria-multiselectable": "true", "aria-orientation": "horizontal",
    "aria-label": "Blocks in execution order",
  });
  const root = h("div", { class: "wb-track wb-time" }, axis, list);
  let ceiling = 1; // ms at the top

  const names = () => context.view().blocks.map((block) => block.name);
  const option = (name) => [...list.children].find((node) => node.dataset.block === name);

  function draw() {
    const view = context.view();
    const had = list.contains(document.activeElement);
    if (!view.blocks.some((block) => block.name === context.focused)) context.focused = view.blocks[0]?.name ?? null;
    const spots = places(view, context.width);
    const steps = view.blocks.map(() => []);
    for (const step of view.steps) steps[step[0]].push(step);
    ceiling = niceCeiling(view.highest_ms);
    fill(axis,
      h("span", { class: "wb-axis-name" }, "Time"),
      ...(context.width === "time" ? [h("span", { class: "wb-tick", style: "bottom:100%" }, "array"), h("span", { class: "wb-tick", style: "bottom:50%" }, "50 %")] : view.top ? [h("span", { class: "wb-tick", style: "bottom:100%" }, tick(ceiling, " ms")), h("span", { class: "wb-tick", style: "bottom:50%" }, tick(ceiling / 2))] : []),
    );
    fill(list, ...view.blocks.map((block, i) => column(block, steps[i], spots.blocks[i])));
    if (had) option(context.focused)?.focus();
    drawChosen();
    drawGhost();
  }

  function column(block, steps, { left, width }) {
    const known = block.latency_ms !== null;
    const wide = known && context.width === "time"; // then the width is the time, and the height what of the array is used
    const height = wide ? 1 : known ? block.latency_ms / ceiling : 0.5;
    const label = [block.name, block.what, block.shape, block.latency_text, block.share_text, block.change].filter(Boolean).join(", ");
    return h(
      "div",
      {
        role: "option", class: "wb-column", "data-block": block.name, "aria-selected": "false", "aria-label": label,
        tabindex: "-1", style: `left:${percent(left)};width:${percent(width)}`,
        onclick: (event) => click(block.name, event),
        onfocus: () => { context.focused = block.name; rove(list.children, option(block.name)); },
        onpointermove: (event) => tip.show(block.name, lines(block), event.clientX, event.clientY),
        onpointerleave: tip.hide,
      },
      known && !wide && block.before_ms !== null && block.before_ms !== block.latency_ms
        ? h("i", { class: `wb-before${block.before_ms < block.latency_ms ? " wb-lower" : ""}`, style: `height:${percent(block.before_ms / ceiling)}` })
        : null,
      wide ? h("i", { class: "wb-idle" }) : null,
      h("span", { class: `wb-bar${block.outside.length ? " wb-hatched" : ""}${known ? "" : " wb-unknown"}`, style: `height:${percent(wide ? (block.busy ?? 1) : height)}` },
        ...(known
          ? steps.filter((step) => step[4] > 0).reverse().map((step) => h("i", { class: colour(block, step), style: `flex-grow:${(1000 * step[4]).toFixed(3)}` }))
          : [])),
      h("i", { class: "wb-cap" }),
    );
  }

  function colour(block, step) {
    const mark = context.get("marks")[context.colour];
    if (mark) return mark.blocks[block.index] ? `wb-heat-${mark.blocks[block.index][0]}` : "wb-heat-none";
    if (context.colour === "bound") return `wb-bound-${step[7]}`;
    if (context.colour === "change") return `wb-change-${block.changed < 0 ? "less" : block.changed > 0 ? "more" : "none"}-${Math.abs(block.changed)}`;
    if (context.colour === "idle") return step[9] === null ? "wb-heat-none" : `wb-heat-${step[9]}`;
    return `wb-heat-${block.heat}`;
  }

  const lines = (block) => [
    `${block.what} \u00b7 ${block.shape}`,
    block.share_text ? `${block.latency_text} \u00b7 ${block.share_text} of the latency${block.change ? ` \u00b7 ${block.change}` : ""}` : block.latency_text,
    block.bound ? `bound by ${block.bound}${block.use ? ` \u00b7 ${block.use} of the array used` : ""}` : "",
    Object.values(context.get("marks")).map((mark) => mark.blocks[block.index]?.[1]).filter(Boolean).join(" \u00b7 "),
    block.outside.length ? `left to the CPU, not counted: ${block.outside.join(", ")}` : "",
  ].filter(Boolean);

  function drawChosen() {
    const on = new Set(context.selection());
    for (const node of list.children) node.setAttribute("aria-selected", on.has(node.dataset.block) ? "true" : "false");
    rove(list.children, option(context.focused));
  }

  /** Only caps move: no element is made while somebody points along the table. */
  function drawGhost() {
    const changes = context.ghost()?.blocks ?? {};
    const blocks = context.view().blocks;
    [...list.children].forEach((node, i) => {
      const cap = node.lastElementChild;
      const change = changes[i];
      if (!change || blocks[i].latency_ms === null || context.width === "time") {
        if (cap.className !== "wb-cap") cap.className = "wb-cap";
        return;
      }
      const [now, then] = [blocks[i].latency_ms, change[0]];
      cap.className = `wb-cap wb-shown ${then <= now ? "wb-down" : "wb-up"}`;
      cap.style.bottom = percent(Math.min(now, then) / ceiling);
      cap.style.height = percent(Math.abs(now - then) / ceiling);
    });
  }

  function range(to) {
    const all = names();
    const [a, b] = [all.indexOf(context.anchor ?? to), all.indexOf(to)].sort((x, y) => x - y);
    return all.slice(Math.max(a, 0), b + 1);
  }

  function click(name, event) {
    context.focused = name;
    if (event.shiftKey) context.select(range(name));
    else if (event.ctrlKey || event.metaKey) context.toggle(name);
    else context.select(context.selection().length === 1 && context.selection()[0] === name ? [] : [name]);
    if (!event.shiftKey) context.anchor = name;
    drawChosen();
    option(name)?.focus({ preventScroll: true });
  }

  list.addEventListener("keydown", (event) => {
    const all = names();
    const at = all.indexOf(context.focused);
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, Home: -at, End: all.length - 1 - at };
    if (event.key === " " || event.key === "Enter") {
      context.toggle(context.focused);
      context.anchor = context.focused;
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      context.select(all);
    } else if (event.key === "Escape") {
      context.select([]);
    } else if (event.key in moves) {
      if (event.shiftKey) context.anchor ??= context.focused;
      context.focused = all[Math.min(all.length - 1, Math.max(0, at + moves[event.key]))];
      if (event.shiftKey) context.select(range(context.focused));
      else context.anchor = null;
      drawChosen();
      option(context.focused)?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  context.on("view", draw);
  context.on("look", draw);
  context.on("selection", drawChosen);
  context.on("ghost", drawGhost);
  return { root, draw };
}
