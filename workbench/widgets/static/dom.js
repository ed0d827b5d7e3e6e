// Elements. All text enters the document as text, never as markup.

// JupyterLab's one-letter shortcuts ("x" cuts the cell) match the focused element itself, before any ancestor is
// asked: what can have the focus must carry the attribute, the root alone is not enough.
const FOCUSABLE = new Set(["button", "input", "select", "textarea", "summary"]);

/** An element with properties, listeners ("onclick") and children (text or elements; null leaves one out). */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  if (FOCUSABLE.has(tag) || "tabindex" in props) node.setAttribute("data-lm-suppress-shortcuts", "true");
  fill(node, ...children);
  return node;
}

/** Put children (text or elements; null leaves one out) in the place of those an element has. */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

/** A shape of a drawing with its attributes. */
export function shape(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** The class of a change written with its sign: of a cost, less is better. */
export const moodOf = (change) =>
  change.startsWith("+") ? "wb-worse" : change.startsWith("\u2212") ? "wb-better" : "wb-same";

export const percent = (share) => `${(100 * share).toFixed(4)}%`;

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Move the only tab stop of a group of elements to one of them. */
export function rove(nodes, current) {
  for (const node of nodes) node.tabIndex = node === current ? 0 : -1;
}
