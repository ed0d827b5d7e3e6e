// One tip for the whole bench: lines of text beside the pointer. What it says stands elsewhere for the keyboard, too.

import { clamp, fill, h } from "./dom.js";

export function makeTip(root) {
  const node = h("div", { class: "wb-tip", role: "tooltip", hidden: true });
  root.append(node);
  return {
    /** title and lines are texts; x and y are of the page. */
    show(title, lines, x, y) {
      fill(node, h("b", {}, title), ...lines.map((line) => h("span", {}, line)));
      node.hidden = false;
      const box = root.getBoundingClientRect();
      const left = clamp(x - box.left + 14, 6, Math.max(6, box.width - node.offsetWidth - 6));
      node.style.left = `${left}px`;
      node.style.top = `${y - box.top + 16}px`;
    },
    hide: () => { node.hidden = true; },
  };
}
