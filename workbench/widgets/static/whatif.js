// The what-if table: a row a step; pointing at a row, or its focus, draws it over everything; Enter takes it.

import { curve } from "./curve.js";
import { fill, h, percent, rove } from "./dom.js";

const COLUMNS = [["latency_ms", "\u0394 time"], ["sram_bytes", "\u0394 SRAM"], ["peak_activation_bytes", "\u0394 peak"], ["params", "\u0394 parameters"]];

export function whatIf(context) {
  const caption = h("p", { class: "wb-caption", "aria-live": "polite" });
  const body = h("tbody", {});
  const slider = curve(context);
  const sorters = Object.fromEntries(COLUMNS.map(([name, text]) => [name, h("th", { scope: "col" },
    h("button", { type: "button", onclick: () => { order = name; draw(); } }, text))]));
  const table = h(
    "table", { class: "wb-table wb-whatif", role: "grid", "aria-label": "What may be done, and what it would change" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Step"), ...Object.values(sorters), h("th", { scope: "col" }, "Loss"), h("th", { scope: "col" }, h("span", { class: "wb-hidden" }, "Take it")))),
    body,
  );
  const root = h("div", { class: "wb-panel", "data-panel": "whatif", tabindex: "-1" }, caption, slider.root, h("div", { class: "wb-scroll" }, table));
  let order = "latency_ms";
  let current = null; // id of the row with the tab stop
  let pointed = null; // id of the row that is drawn over everything
  let asking = null; // the timer of a row that was not estimated ahead

  function draw() {
    const state = context.get("table");
    const had = body.contains(document.activeElement) ? document.activeElement.dataset.row : undefined;
    const rows = [...(state.rows ?? [])].sort((a, b) => (a.cells[order]?.value ?? Infinity) - (b.cells[order]?.value ?? Infinity));
    const about = !state.of?.length ? "the network and its blocks" : state.of.length === 1 ? state.of[0] : `${state.of.length} blocks together`;
    fill(caption,
      h("b", {}, `What may be done to ${about}`), " ",
      h("span", { class: "wb-muted" }, state.text ?? (context.connected() ? "pricing \u2026" : "")),
      state.done === false ? h("i", { class: "wb-spinner", "aria-hidden": "true" }) : null,
    );
    for (const [name, node] of Object.entries(sorters)) node.setAttribute("aria-sort", name === order ? "ascending" : "none");
    const largest = Math.max(...rows.map((row) => Math.abs(row.cells.latency_ms.value)), 1e-9);
    if (!rows.some((row) => row.id === current)) current = rows[0]?.id ?? null;
    fill(body, ...rows.map((row) => line(row, largest)));
    rove(body.children, find(current));
    keepFocus(had);
    slider.draw();
    const again = rows.find((row) => row.id === pointed);
    if (pointed !== null) context.point(again?.ghost ?? null);
  }

  /** Where the row that had the focus is gone, the panel keeps it until there are rows again. */
  function keepFocus(had) {
    if (had === undefined && document.activeElement !== root) return;
    (find(had) ?? find(current) ?? root).focus({ preventScroll: true });
  }

  const find = (id) => [...body.children].find((node) => node.dataset.row === id);

  function line(row, largest) {
    const share = Math.min(1, Math.abs(row.cells.latency_ms.value) / largest);
    const take = (branch) => context.send("apply", { steps: row.steps, name: `${row.what} on ${row.where}`, ...(branch ? { branch: true } : {}) });
    const node = h(
      "tr",
      {
        role: "row", tabindex: "-1", "data-row": row.id, title: row.code, "aria-label": describe(row),
        onpointerenter: () => show(row, node), onpointerleave: () => hide(node), onfocus: () => { current = row.id; rove(body.children, node); show(row, node); },
        onblur: () => hide(node), ondblclick: () => take(false), onkeydown: (event) => key(event, node, take),
      },
      h("td", { role: "gridcell" }, h("b", {}, row.what), " ", h("span", { class: "wb-where" }, row.where), row.incomplete ? h("span", { class: "wb-worse" }, " leaves operators to the CPU") : null),
      ...COLUMNS.map(([name]) => cell(row.cells[name], name === "latency_ms" ? share : null)),
      h("td", { role: "gridcell" }, loss(row)),
      h("td", { role: "gridcell", class: "wb-take" },
        h("button", { type: "button", tabindex: "-1", "data-take": "apply", onclick: () => take(false) }, "apply"),
        h("button", { type: "button", tabindex: "-1", "data-take": "branch", title: "Keep it beside this one (Shift+Enter)", onclick: () => take(true) }, "branch")),
    );
    return node;
  }

  function cell(part, share) {
    if (!part) return h("td", { role: "gridcell", class: "wb-muted" }, context.get("table").done ? "" : "\u2026");
    return h(
      "td", { role: "gridcell" },
      share !== null ? h("i", { class: `wb-weight wb-weight-${part.mood}`, style: `width:${percent(share)}` }) : null,
      h("span", { class: `wb-${part.mood}` }, part.text), part.percent && part.mood !== "same" ? h("small", {}, part.percent) : null,
    );
  }

  function loss(row) {
    if (context.view().accuracy.badge) return h("span", { class: "wb-muted", title: context.view().accuracy.detail }, "\u2013");
    return row.loss ? h("span", { title: "relative error of the output, predicted" }, row.loss.text) : h("span", { class: "wb-muted" }, row.loss === null ? "\u2013" : "\u2026");
  }

  const describe = (row) =>
    [`${row.what}, ${row.where}`, ...COLUMNS.map(([name, text]) => (row.cells[name] ? `${text} ${row.cells[name].text}` : null))].filter(Boolean).join(", ");

  function show(row, node) {
    pointed = row.id;
    for (const other of body.children) other.classList.toggle("wb-pointed", other === node);
    context.point(row.ghost);
    clearTimeout(asking);
    asking = null;
    // of a large network not every row was estimated ahead: who stays on one has it estimated
    if (!row.ghost && context.get("table").done) asking = setTimeout(() => context.send("preview", { steps: row.steps, name: row.what }), 200);
  }
  function hide(node) {
    if (pointed !== node.dataset.row) return;
    pointed = null;
    clearTimeout(asking);
    if (asking !== null) context.forgetPreview();
    asking = null;
    node.classList.remove("wb-pointed");
    context.point(null);
  }

  function key(event, node, take) {
    const moves = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling, Home: body.firstElementChild, End: body.lastElementChild };
    if (event.key === "Enter" && event.target === node) take(event.shiftKey);
    else if (event.key in moves) moves[event.key]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  for (const name of ["table", "connection"]) context.on(name, draw);
  return { root, draw };
}
