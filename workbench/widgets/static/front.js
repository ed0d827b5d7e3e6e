// The front of a search: accuracy with its interval over cost, budgets, branches; the same as a table to go through.

import { fill, h, percent, rove, shape } from "./dom.js";

const KEYS = [["front", "front"], ["equal", "front, not told from a cheaper one"], ["other", "trained"], ["control", "control"], ["unedited", "unedited"], ["branch", "branches here"]];

export function front(context) {
  const caption = h("p", { class: "wb-caption" });
  const lines = shape("svg", { class: "wb-front-lines", width: "100%", height: "100%" });
  const plot = h("div", { class: "wb-front-plot" });
  const up = h("div", { class: "wb-front-up" });
  const right = h("div", { class: "wb-front-right" });
  const picture = h("div", { class: "wb-front-picture", "aria-hidden": "true" }, up, plot, right);
  const legend = h("div", { class: "wb-legend", "aria-hidden": "true" });
  const evidence = h("p", { class: "wb-about wb-muted", "data-evidence": "" });
  const cost = h("th", { scope: "col" });
  const body = h("tbody", {});
  const table = h(
    "table", { class: "wb-table wb-front-table", role: "grid", "aria-label": "Trained candidates" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Trial"), h("th", { scope: "col" }, "Accuracy (95 %)"), cost, h("th", { scope: "col" }, "Against unedited"), h("th", { scope: "col" }, "Steps"), h("th", { scope: "col" }, h("span", { class: "wb-hidden" }, "Open it")))),
    body,
  );
  const more = h("p", { class: "wb-about wb-muted", hidden: true });
  const scroll = h("div", { class: "wb-scroll wb-front-scroll", hidden: true }, table);
  const root = h("section", { class: "wb-front", "aria-label": "The front of the search", hidden: true }, caption, picture, legend, evidence, scroll, more);
  let current = null; // the trial with the tab stop, which a second click opens
  let asking = null; // the timer of the candidate that is pointed at
  let waiting = null; // a candidate to open once what was asked before is answered

  const find = (trial) => [...body.children].find((node) => node.dataset.trial === String(trial));

  function draw() {
    const view = context.get("front");
    root.hidden = !view.points;
    if (root.hidden) return;
    const had = body.contains(document.activeElement) ? document.activeElement.dataset.trial : undefined;
    fill(caption, h("b", {}, "Accuracy on the validation pictures over cost"), " ", h("span", { class: "wb-muted" }, view.about));
    fill(up, ...view.y.map(([place, text]) => h("span", { style: `bottom:${percent(place)}` }, `${text} %`)));
    fill(right, ...view.x.map(([place, text]) => h("span", { style: `left:${percent(place)}` }, text)), h("b", {}, view.cost.label));
    fill(lines,
      ...view.y.map(([place]) => line("wb-grid", 0, place, 1, place)),
      ...stairs(view.stairs),
      ...view.points.filter((point) => point.front).map((point) => line("wb-whisker", point.x, point.low, point.x, point.high)),
      ...view.lines.map(([place]) => line("wb-budget-line", place, 0, place, 1)),
    );
    fill(plot,
      ...(view.points.length ? view.gaps : [[0, 1]]).map(([from, to]) => h("i", { class: "wb-gap", style: `left:${percent(from)};width:${percent(to - from)}` }, h("span", {}, "no evidence here"))),
      lines,
      ...view.lines.map(([place, text]) => h("i", { class: `wb-budget-word${place > 0.7 ? " wb-before-it" : ""}`, style: `left:${percent(place)}` }, text)),
      ...view.points.filter((point) => point.test !== null).map((point) => h("i", { class: "wb-test", style: at(point.x, point.test), title: point.test_text })),
      ...view.branches.map(branch),
      ...[...view.points].reverse().map(spot),
    );
    fill(legend, ...KEYS.map(([name, text]) => h("span", {}, h("i", { class: `wb-spot wb-spot-${name}` }), text)));
    evidence.textContent = view.evidence;
    evidence.hidden = !view.evidence;
    cost.textContent = view.cost.label.split(",")[0];
    scroll.hidden = !view.points.length;
    more.hidden = !view.more;
    more.textContent = `and ${view.more} more in study.ledger`;
    if (!view.points.some((point) => point.trial === current)) current = view.points[0]?.trial ?? null;
    fill(body, ...view.points.map(row));
    rove(body.children, find(current));
    if (had !== undefined) (find(had) ?? find(current))?.focus({ preventScroll: true });
  }

  const at = (x, y) => `left:${percent(x)};bottom:${percent(y)}`;
  const line = (cls, x1, y1, x2, y2) => shape("line", { class: cls, x1: percent(x1), y1: percent(1 - y1), x2: percent(x2), y2: percent(1 - y2) });

  /** From each point to the next one's cost, then up; on to the edge. */
  function stairs(points) {
    return points.flatMap(([x, y], i) => {
      const [to, then] = points[i + 1] ?? [1, y];
      return [line("wb-stair", x, y, to, y), line("wb-stair", to, y, to, then)];
    });
  }

  function spot(point) {
    return h("i", {
      class: `wb-spot wb-spot-${point.kind}`, style: at(point.x, point.y), "data-spot": point.trial, title: words(point),
      onmousedown: (event) => event.preventDefault(), // the line of the table keeps the focus
      onclick: () => (point.trial === current && document.activeElement === find(current) ? open(point, false) : find(point.trial)?.focus()),
    });
  }

  function branch(node) {
    const known = node.y !== null;
    return h("i", {
      class: `wb-spot wb-spot-branch${node.here ? " wb-here" : ""}${known ? "" : " wb-at-foot"}`, style: at(node.x, known ? node.y : 0), title: node.text,
      "data-beside": node.number, onclick: () => context.send("go", { node: node.number }),
    }, h("span", {}, String(node.number)));
  }

  const words = (point) => `trial ${point.trial}: ${point.accuracy} (95 %: ${point.interval}), ${point.cost}; ${point.steps}; ${point.note}`;

  function row(point) {
    const node = h(
      "tr",
      {
        role: "row", tabindex: "-1", "data-trial": point.trial, title: point.code, "aria-label": words(point), class: point.front ? "wb-on-front" : null,
        onpointerenter: () => mark(point.trial, true), onpointerleave: () => mark(point.trial, false),
        onfocus: () => show(point, node), onblur: () => hide(point, node),
        onclick: () => node.focus({ preventScroll: true }), ondblclick: () => open(point, false), onkeydown: (event) => key(event, node, point),
      },
      h("td", { role: "gridcell" }, h("i", { class: `wb-spot wb-spot-${point.kind}` }), String(point.trial), " ", h("span", { class: "wb-where" }, point.note)),
      h("td", { role: "gridcell" }, h("b", {}, point.accuracy), h("small", {}, point.interval)),
      h("td", { role: "gridcell" }, point.cost),
      h("td", { role: "gridcell", class: "wb-against" }, point.against || "\u2013"),
      h("td", { role: "gridcell", class: "wb-steps" }, h("code", {}, point.steps)),
      h("td", { role: "gridcell", class: "wb-take" },
        h("button", { type: "button", tabindex: "-1", "data-open": point.trial, title: "Its steps and weights, here (Enter)", onclick: (event) => press(event, point, false) }, "open"),
        h("button", { type: "button", tabindex: "-1", "data-keep": point.trial, title: "Keep it beside this one (Shift+Enter)", onclick: (event) => press(event, point, true) }, "branch")),
    );
    return node;
  }

  function press(event, point, branch) {
    event.stopPropagation();
    open(point, branch);
  }

  function mark(trial, on) {
    plot.querySelector(`[data-spot="${trial}"]`)?.classList.toggle("wb-marked", on);
  }

  /** Who stays on a candidate has it estimated, and sees it over everything. */
  function show(point, node) {
    current = point.trial;
    rove(body.children, node);
    mark(point.trial, true);
    clearTimeout(asking);
    asking = setTimeout(() => context.send("preview", { trial: point.trial }), 250);
  }
  function hide(point, node) {
    clearTimeout(asking);
    mark(point.trial, false);
    if (!node.contains(document.activeElement)) context.forgetPreview();
  }

  function open(point, branch) {
    clearTimeout(asking);
    waiting = null;
    const values = { trial: point.trial, ...(branch ? { branch: true } : {}) };
    if (!context.send("open", values) && context.connected()) waiting = values;
  }

  function key(event, node, point) {
    const moves = { ArrowDown: node.nextElementSibling, ArrowUp: node.previousElementSibling, Home: body.firstElementChild, End: body.lastElementChild };
    if (event.key === "Enter" && event.target === node) open(point, event.shiftKey);
    else if (event.key in moves) moves[event.key]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  context.on("connection", () => {
    if (waiting === null || context.busy()) return;
    const values = waiting;
    waiting = null;
    context.send("open", values);
  });
  context.on("front", draw);
  return { root, draw };
}
