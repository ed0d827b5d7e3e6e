// Why it costs what it costs, for the selected blocks: findings with the step that mends them, and notes.

import { fill, h } from "./dom.js";

const SHOWN = 4;

export function why(context) {
  const list = h("ul", { class: "wb-findings" });
  const notes = h("ul", { class: "wb-notes" });
  const text = h("input", { type: "text", placeholder: "Add a note", "aria-label": "Add a note", "data-field": "note", autocomplete: "off", onkeydown: (event) => key(event) });
  const title = h("h4", {}, "Why");
  const root = h("section", { class: "wb-why", "aria-label": "Why" }, title, list, h("h4", {}, "Notes"), notes, text);

  function draw() {
    const on = new Set(context.selection());
    const { findings = [] } = context.get("advice");
    const shown = findings.filter((finding) => !on.size || on.has(finding.block));
    title.textContent = on.size === 1 ? `Why: ${[...on][0]}` : on.size ? `Why: ${on.size} blocks` : "Why: the costliest first";
    fill(list, ...shown.slice(0, SHOWN).map(entry), shown.length ? null : h("li", { class: "wb-muted" }, findings.length ? "Nothing stands out here." : "\u2026"),
      shown.length > SHOWN ? h("li", { class: "wb-muted" }, `and ${shown.length - SHOWN} more: select a block for its own`) : null);
    const block = on.size === 1 ? [...on][0] : null;
    const own = context.get("notes").filter((note) => block === null || note.block === block);
    fill(notes, ...own.map((note) => h("li", {}, note.block ? h("code", {}, note.block) : null, note.block ? " " : null, note.text,
      note.changed ? h("span", { class: "wb-badge" }, "changed since") : null)));
    text.placeholder = block ? `Add a note on ${block}` : "Add a note on the network";
  }

  function entry(finding) {
    return h(
      "li", { class: `wb-severity-${["high", "medium", "low"].includes(finding.severity) ? finding.severity : "low"}` },
      h("b", {}, finding.rule), " ",
      finding.block ? h("button", { type: "button", class: "wb-link", onclick: () => { context.focused = finding.block; context.select([finding.block]); } }, finding.block) : null,
      h("span", { class: "wb-text" }, finding.text),
      finding.mend
        ? h("span", { class: "wb-mend" }, h("code", {}, finding.mend), " ",
          h("button", { type: "button", onclick: () => context.send("preview", { steps: finding.steps }) }, "preview"),
          h("button", { type: "button", onclick: () => context.send("apply", { steps: finding.steps }) }, "apply"))
        : null,
    );
  }

  function key(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const on = context.selection();
    if (text.value.trim() && context.send("note", { block: on.length === 1 ? on[0] : "", text: text.value })) text.value = "";
  }

  for (const name of ["advice", "selection", "notes"]) context.on(name, draw);
  return { root, draw };
}
