// How the tracks are drawn, which blocks are selected: search, kinds, colours, widths.

import { fill, h } from "./dom.js";

const COLOURS = { share: "time", bound: "bound", change: "change", idle: "idle array" };
const WIDTHS = { operators: "operators", time: "time" };
const STEPS = 10;

export function toolbar(context) {
  const search = h("input", {
    type: "search", placeholder: "Search blocks  /", "aria-label": "Search blocks and select those that match", "data-field": "search",
    autocomplete: "off", spellcheck: "false",
    onkeydown: (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        context.select(search.value.trim() ? matching(search.value) : []);
      }
      if (event.key === "Escape") search.value = "";
    },
  });
  const kind = h("select", { "aria-label": "Select blocks of a kind", "data-field": "kind", onchange: () => pick() });
  const colour = choice("colour", COLOURS, "Colour by");
  const colours = colour.querySelector("select");
  const width = choice("width", WIDTHS, "Width by");
  const legend = h("div", { class: "wb-legend" });
  const chosen = h("div", { class: "wb-chosen", "aria-live": "polite" });
  const root = h("div", { class: "wb-toolbar", role: "group", "aria-label": "Tracks" }, search, kind, colour, width, h("span", { class: "wb-space" }), legend, chosen);

  function choice(name, options, label) {
    const select = h("select", {
      id: `${name}-${context.uid}`, "data-field": name,
      onchange: () => { context[name] = select.value; drawLegend(); context.emit("look"); },
    }, ...Object.entries(options).map(([value, text]) => h("option", { value }, text)));
    return h("span", { class: "wb-pair" }, h("label", { for: select.id }, label), select);
  }

  /** What was measured of blocks is a colour, too, where somebody has measured it. */
  function drawColours() {
    const all = { ...COLOURS, ...Object.fromEntries(Object.entries(context.get("marks")).map(([name, mark]) => [name, mark.label])) };
    fill(colours, ...Object.entries(all).map(([value, text]) => h("option", { value }, text)));
    colours.value = context.colour;
    drawLegend();
    context.emit("look");
  }

  const matching = (text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return context.view().blocks
      .filter((block) => words.every((word) => `${block.name} ${block.kind} ${block.what} ${block.bound}`.toLowerCase().includes(word)))
      .map((block) => block.name);
  };

  function pick() {
    const { blocks } = context.view();
    const wanted = { "*": () => true, "": () => false }[kind.value] ?? ((block) => block.kind === kind.value.slice(1));
    context.select(blocks.filter(wanted).map((block) => block.name));
    kind.selectedIndex = 0;
  }

  function draw() {
    const kinds = new Map();
    for (const block of context.view().blocks) kinds.set(block.kind, (kinds.get(block.kind) ?? 0) + 1);
    fill(kind,
      h("option", { value: "-", disabled: true, selected: true }, "Select \u2026"), h("option", { value: "*" }, "all blocks"), h("option", { value: "" }, "none"),
      ...[...kinds].map(([name, count]) => h("option", { value: `=${name}` }, `${name} (${count})`)),
    );
    drawLegend();
    drawChosen();
  }

  function drawLegend() {
    const view = context.view();
    const swatch = (cls, text) => h("span", {}, h("i", { class: cls }), text);
    const scale = (from, to) => [h("span", {}, from), h("span", { class: "wb-scale" }, ...Array.from({ length: STEPS }, (_, i) => h("i", { class: `wb-heat-${i}` }))), h("span", {}, to)];
    const mark = context.get("marks")[context.colour];
    if (!view.top) fill(legend);
    else if (mark) fill(legend, ...scale(`${mark.label} 0 %`, mark.top), swatch("wb-heat-none", "not measured"));
    else if (context.colour === "bound") fill(legend, ...[...new Set(view.steps.map((step) => step[7]))].sort().map((bound) => swatch(`wb-bound-${bound}`, bound)));
    else if (context.colour === "change") fill(legend, swatch("wb-change-less-3", "less"), swatch("wb-change-none-0", "as before"), swatch("wb-change-more-3", "more"));
    else if (context.colour === "idle") fill(legend, ...scale("array busy", "idle"));
    else fill(legend, ...scale("share of latency 0 %", view.top));
  }

  function drawChosen() {
    const on = new Set(context.selection());
    const blocks = context.view().blocks.filter((block) => on.has(block.name));
    const share = blocks.reduce((sum, block) => sum + (block.share ?? 0), 0);
    chosen.textContent = blocks.length
      ? `${blocks.length} block${blocks.length === 1 ? "" : "s"} selected` + (context.view().top ? `, ${(100 * share).toFixed(1)} % of the latency` : "")
      : "No block selected";
  }

  context.on("view", draw);
  context.on("selection", drawChosen);
  context.on("marks", drawColours);
  return { root, draw: () => { drawColours(); draw(); }, search };
}
