// The head: what is shown, on which target, beside what; undo and redo; the kernel.

import { fill, h } from "./dom.js";

export function head(context) {
  const title = h("div", { class: "wb-title" });
  const target = h("select", { id: `target-${context.uid}`, "data-field": "target", onchange: () => choose() });
  const against = h("select", {
    id: `against-${context.uid}`, "data-field": "against",
    onchange: () => compare(),
  });
  const file = h("input", {
    type: "text", placeholder: "path of a .tflite file, Enter", "aria-label": "Path of the deployed file", "data-field": "deployed", autocomplete: "off", spellcheck: "false", hidden: true,
    onkeydown: (event) => {
      if (event.key === "Enter" && file.value.trim()) context.send("deployed", { path: file.value.trim() });
      if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); file.hidden = true; drawBranches(); against.focus(); }
    },
  });
  const button = (action, text, label) =>
    h("button", { type: "button", "data-action": action, "aria-label": label, title: label, onclick: () => act(action) }, text);
  const buttons = { undo: button("undo", "\u21b6 Undo", "Undo"), redo: button("redo", "\u21b7 Redo", "Redo") };
  const kernel = h("span", { class: "wb-kernel", role: "img" });
  const verdict = h("button", { type: "button", class: "wb-verdict", "data-action": "compile", onclick: () => context.send("compile") });
  const status = h("p", { class: "wb-status", role: "status", "aria-live": "polite", "data-status": "" });
  const about = h("p", { class: "wb-status", hidden: true });
  const root = h(
    "div", { class: "wb-head" },
    h("div", { class: "wb-headline" }, title,
      h("label", { for: target.id }, "on"), target,
      h("label", { for: against.id }, "against"), against, file,
      h("span", { class: "wb-space" }), verdict,
      h("div", { class: "wb-buttons" }, buttons.undo, buttons.redo), kernel),
    status, about,
  );

  function act(action) {
    if (buttons[action].getAttribute("aria-disabled") !== "true") context.send(action);
  }

  function compare() {
    file.hidden = against.value !== "file";
    if (file.hidden) context.send("compare", { node: Number(against.value) });
    else file.focus();
  }

  function choose() {
    if (!context.send("aim", { target: target.value })) target.value = context.view().target;
  }

  function draw() {
    const view = context.view();
    fill(title, h("b", {}, view.model), h("span", {}, view.input));
    const names = context.get("targets").includes(view.target) ? context.get("targets") : [view.target, ...context.get("targets")];
    fill(target, ...names.map((name) => h("option", { value: name }, name)));
    target.value = view.target;
    drawButtons();
  }

  function drawBranches() {
    const { nodes, current, against: shown } = context.get("branches");
    fill(against, ...nodes.map((node) => h("option", { value: node.number }, node.number ? `${node.number} ${node.text}` : node.text)));
    const { name, text, code } = context.get("deployed");
    if (name) against.append(h("option", { value: "deployed", disabled: true, title: code }, name));
    against.append(h("option", { value: "file", title: "a deployed .tflite file" }, "a file \u2026"));
    against.value = name ? "deployed" : file.hidden ? String(shown) : "file";
    about.textContent = text ?? "";
    about.hidden = !text;
    drawVerdict(nodes.find((node) => node.number === current)?.verdict ?? "");
  }

  function drawVerdict(text) {
    const busy = context.get("compiling");
    verdict.textContent = busy ? "compiling \u2026" : text || "compile";
    verdict.title = text ? `The compiler's cycle model: ${text}. Click to compile again.` : "Ask the target's compiler";
    verdict.classList.toggle("wb-told", Boolean(text) && !busy);
  }

  function drawButtons() {
    const view = context.view();
    const off = { undo: !view.can_undo, redo: !view.can_redo };
    for (const [action, node] of Object.entries(buttons)) {
      node.setAttribute("aria-disabled", String(off[action] || context.busy() || !context.connected()));
    }
    for (const node of [target, against, file]) node.disabled = !context.connected();
    verdict.setAttribute("aria-disabled", String(!context.connected() || context.get("compiling")));
    const state = !context.connected() ? "gone" : context.busy() ? "busy" : "ready";
    kernel.className = `wb-kernel wb-kernel-${state}`;
    kernel.setAttribute("aria-label", `kernel ${state}`);
    kernel.title = `kernel ${state}`;
  }

  function drawStatus() {
    status.textContent = context.connected()
      ? context.get("status")
      : "The kernel that drew this is gone; run the cell again to go on from here.";
    status.classList.toggle("wb-failed", context.connected() && context.get("failed"));
  }

  context.on("view", draw);
  context.on("targets", draw);
  for (const name of ["branches", "deployed"]) context.on(name, drawBranches);
  context.on("compiling", drawBranches);
  context.on("connection", () => { drawButtons(); drawStatus(); });
  context.on("status", drawStatus);
  context.on("late", () => { status.textContent = "The kernel has not answered yet; it may be busy with another cell."; });
  return { root, draw: () => { draw(); drawBranches(); drawStatus(); } };
}
