// The same edits on several targets, side by side.

import { fill, h, moodOf, percent } from "./dom.js";

export function targets(context) {
  const boxes = h("div", { class: "wb-choices", role: "group", "aria-label": "Targets to show side by side" });
  const all = h("button", { type: "button", "data-action": "all-targets", onclick: () => choose(names().length === context.get("beside").length ? [] : names()) });
  const body = h("tbody", {});
  const table = h(
    "table", { class: "wb-table wb-targets", hidden: true },
    h("caption", { class: "wb-hidden" }, "The same network on each target"),
    h("thead", {}, h("tr", {}, ...["Target", "Latency (90 %)", "\u0394 latency", "SRAM", "\u0394 SRAM", "Bound by"].map((text) => h("th", { scope: "col" }, text)), h("th", { scope: "col" }, h("span", { class: "wb-hidden" }, "Go there")))),
    body,
  );
  const about = h("p", { class: "wb-caption" });
  const root = h("div", { class: "wb-panel", "data-panel": "targets", tabindex: "-1", hidden: true }, about, boxes, h("div", { class: "wb-scroll wb-wide-scroll", role: "region", tabindex: "0", "aria-label": "Targets side by side" }, table));

  const names = () => context.get("targets");

  function choose(chosen) {
    context.assign("beside", names().filter((name) => chosen.includes(name)));
  }

  function draw() {
    const beside = context.get("beside");
    const had = boxes.contains(document.activeElement) ? document.activeElement.dataset.beside : undefined;
    fill(boxes, ...names().map((name) => h("label", {}, h("input", {
      type: "checkbox", "data-beside": name, checked: beside.includes(name),
      onchange: (event) => choose(event.target.checked ? [...beside, name] : beside.filter((other) => other !== name)),
    }), name)), all);
    all.textContent = beside.length && beside.length === names().length ? "none" : "all";
    if (had) boxes.querySelector(`[data-beside="${had}"]`)?.focus();
    drawRows();
  }

  function drawRows() {
    const { rows = [], done } = context.get("sides");
    const shown = context.get("beside").length ? rows : [];
    const most = Math.max(...shown.map((row) => row.latency_ms ?? 0), 1e-9);
    table.hidden = !shown.length;
    fill(about,
      h("b", {}, "The same edits on several targets"), " ",
      h("span", { class: "wb-muted" }, shown.length ? "changes against what is shown beside" : "choose some"),
      shown.length && !done ? h("i", { class: "wb-spinner", "aria-hidden": "true" }) : null);
    fill(body, ...shown.map((row) => h(
      "tr", { class: row.here ? "wb-here" : null, "data-target": row.target, title: row.code },
      h("th", { scope: "row" }, row.target, row.note ? h("span", { class: "wb-where" }, ` ${row.note}`) : null),
      h("td", {}, h("i", { class: "wb-weight wb-weight-time", style: `width:${percent((row.latency_ms ?? 0) / most)}` }), h("b", {}, row.latency), h("small", {}, row.interval)),
      h("td", { class: moodOf(row.change) }, row.change),
      h("td", {}, row.sram), h("td", { class: moodOf(row.sram_change) }, row.sram_change), h("td", {}, row.bound),
      h("td", { class: "wb-take wb-always" }, row.here ? h("span", { class: "wb-badge" }, "here") : h("button", { type: "button", "data-aim": row.target, onclick: () => context.send("aim", { target: row.target }) }, "go there")),
    )));
  }

  for (const name of ["targets", "beside"]) context.on(name, draw);
  context.on("sides", drawRows);
  return { root, draw };
}
