// The form for any step: a transform with all its options.

import { fill, h } from "./dom.js";

export function form(context) {
  const { uid } = context;
  const drafts = {}; // transform -> option -> what was typed
  let pattern = ""; // what stands in the field for blocks
  const choice = h("select", { id: `t-${uid}`, "data-field": "transform", onchange: () => { drawOptions(); forget(); } });
  const about = h("p", { class: "wb-about" });
  const options = h("div", { class: "wb-options" });
  const button = (action, text) => h("button", { type: "button", "data-action": action, onclick: () => send(action) }, text);
  const buttons = { preview: button("preview", "Preview"), apply: button("apply", "Apply") };
  const root = h(
    "form",
    { class: "wb-form", "aria-label": "Any step", onsubmit: (event) => event.preventDefault(), onkeydown: submitOnEnter, oninput: () => forget() },
    h("div", { class: "wb-pick" }, h("label", { for: `t-${uid}` }, "Transform"), choice, about, h("div", { class: "wb-buttons" }, buttons.preview, buttons.apply)),
    options,
  );
  const panel = h("div", { class: "wb-panel", "data-panel": "form", hidden: true }, root);

  function draw() {
    const transforms = context.get("transforms");
    const before = choice.value;
    fill(choice, ...transforms.map((t) => h("option", { value: t.name }, t.label)));
    if (transforms.some((t) => t.name === before)) choice.value = before;
    drawOptions();
    drawButtons();
  }

  function drawOptions() {
    const transform = context.get("transforms").find((t) => t.name === choice.value);
    if (!transform) return;
    about.textContent = transform.help;
    const draft = (drafts[transform.name] ??= {});
    fill(options, ...transform.options.flatMap((o) => field(o, draft)));
  }

  function field(o, draft) {
    const id = `o-${uid}-${o.name}`;
    const value = draft[o.name] ?? o.default;
    const keep = (event) => {
      if (o.type === "blocks") pattern = event.target.value;
      else draft[o.name] = o.type === "bool" ? event.target.checked : event.target.value;
    };
    let input;
    if (o.type === "choice") {
      input = h("select", { id, onchange: keep }, ...o.choices.map((c) => h("option", { value: c }, String(c))));
      input.value = value;
    } else if (o.type === "bool") {
      input = h("input", { id, type: "checkbox", onchange: keep });
      input.checked = Boolean(value);
    } else {
      const number = o.type === "int" || o.type === "float";
      const empty = o.type === "blocks" ? "all that fit" : o.optional ? "the target's own" : "";
      input = h("input", {
        id, type: number ? "number" : "text", step: o.type === "int" ? "1" : "any", placeholder: empty,
        autocomplete: "off", spellcheck: "false", oninput: keep,
      });
      input.value = o.type === "blocks" ? pattern : (value ?? "");
    }
    input.dataset.option = o.name;
    input.dataset.type = o.type;
    input.setAttribute("aria-describedby", `${id}-help`);
    return [h("div", { class: "wb-field" }, h("label", { for: id }, o.label), input, o.help ? h("small", { id: `${id}-help` }, o.help) : null)];
  }

  function fillBlocks() {
    const on = context.selection();
    pattern = on.length === context.view().blocks.length ? "*" : on.join(", ");
    const input = options.querySelector("[data-type=blocks]");
    if (input) input.value = pattern;
  }

  function params() {
    const values = {};
    for (const input of options.querySelectorAll("[data-option]")) {
      const { option: name, type } = input.dataset;
      const text = input.value.trim();
      if (type === "bool") values[name] = input.checked;
      else if (type === "blocks") values[name] = text.split(/\s*,\s*(?![^[]*\])/).filter(Boolean).join(",") || "*";
      else if (text === "") continue; // left empty: the transform's own default
      else if (type === "list") values[name] = text.split(",").map((part) => part.trim()).filter(Boolean);
      else values[name] = type === "int" || type === "float" ? Number(text) : text;
    }
    return values;
  }

  /** JupyterLab keeps a form from being submitted by the Enter key: it is done here. */
  function submitOnEnter(event) {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    send("apply");
  }

  function send(action) {
    if (buttons[action].getAttribute("aria-disabled") !== "true") context.send(action, { transform: choice.value, params: params() });
  }

  function drawButtons() {
    for (const node of Object.values(buttons)) node.setAttribute("aria-disabled", String(context.busy() || !context.connected()));
  }

  /** A preview belongs to the form it was asked for. */
  function forget() {
    context.forgetPreview();
  }

  context.on("transforms", draw);
  context.on("connection", drawButtons);
  context.on("selection", () => { fillBlocks(); forget(); });
  return { root: panel, draw: () => { draw(); fillBlocks(); } };
}
