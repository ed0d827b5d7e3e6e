// The branch as Python: what every gesture was, to be copied into a cell.

import { h } from "./dom.js";

export function code(context) {
  const text = h("code", {});
  const copied = h("span", { class: "wb-muted", role: "status" });
  const root = h("div", { class: "wb-panel", "data-panel": "code", hidden: true },
    h("p", { class: "wb-caption" }, h("b", {}, "The same in Python"), " ", h("button", { type: "button", "data-action": "copy", onclick: () => copy() }, "Copy"), " ", copied),
    h("div", { class: "wb-code", role: "region", tabindex: "0", "aria-label": "The branch as Python" }, h("pre", {}, text)));

  async function copy() {
    try {
      await navigator.clipboard.writeText(context.get("cell"));
      copied.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(text); // a page that is not trusted has no clipboard
      copied.textContent = "selected; copy it with the keyboard";
    }
  }

  context.on("cell", () => draw());
  const draw = () => {
    text.textContent = context.get("cell");
    copied.textContent = "";
  };
  return { root, draw };
}
