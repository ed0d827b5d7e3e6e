// The bench. Python decides everything that is shown (view.py); this file draws it and sends commands.
// All text enters the document as text, never as markup.

const STEPS = 10;

// JupyterLab's one-letter shortcuts ("x" cuts the cell) match the focused element itself, before any ancestor is
// asked: what can have the focus must carry the attribute, the root alone is not enough.
const FOCUSABLE = new Set(["button", "input", "select"]);

/** An element with properties, data attributes and children (text or elements). */
function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  if (FOCUSABLE.has(tag) || "tabindex" in props) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const mood = (change) => (change.startsWith("+") ? "wb-worse" : change.startsWith("\u2212") ? "wb-better" : "wb-same");

function render({ model, el }) {
  const uid = Math.random().toString(36).slice(2, 8); // labels need ids, and a bench may be shown twice
  let focused = null; // name of the block the keyboard is on
  let anchor = null; // where a range begins
  let shown = null; // the preview on display
  let waiting = null; // the timer of a command that was not answered yet
  let connected = true; // to a kernel that can answer
  let pattern = ""; // what stands in the field for blocks
  const drafts = {}; // transform -> option -> what was typed

  // ---- the parts -----------------------------------------------------------------------------------------------
  const title = h("div", { class: "wb-title" });
  const note = h("p", { class: "wb-note", role: "note", hidden: true });
  const totals = h("div", { class: "wb-totals" });
  const list = h("div", { class: "wb-blocks", role: "listbox", "aria-multiselectable": "true", "aria-label": "Blocks in execution order" });
  const quick = h("div", { class: "wb-quick", role: "group", "aria-label": "Select blocks" });
  const chosen = h("div", { class: "wb-chosen", "aria-live": "polite" });
  const scale = h("div", { class: "wb-scale", "aria-hidden": "true" });
  const choice = h("select", { id: `t-${uid}`, "data-field": "transform", onchange: () => { drawForm(); forget(); } });
  const about = h("p", { class: "wb-about" });
  const options = h("div", { class: "wb-options" });
  const button = (action, text, label) => h("button", { type: "button", "data-action": action, "aria-label": label, onclick: () => send(action) }, text);
  const buttons = {
    preview: button("preview", "Preview"),
    apply: button("apply", "Apply"),
    undo: button("undo", "\u21b6 Undo", "Undo"),
    redo: button("redo", "\u21b7 Redo", "Redo"),
  };
  const status = h("p", { class: "wb-status", role: "status", "aria-live": "polite", "data-status": "" });
  const history = h("ol", { class: "wb-history", start: "0" });
  const form = h(
    "form",
    { class: "wb-form", "aria-label": "Transform", onsubmit: (event) => event.preventDefault(), onkeydown: submitOnEnter, oninput: () => forget() },
    h("label", { for: `t-${uid}` }, "Transform"), choice, about, options,
    h("div", { class: "wb-buttons" }, buttons.preview, buttons.apply),
  );
  const root = h(
    "div",
    { class: "workbench-bench", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": "Workbench" },
    h("div", { class: "wb-head" }, title, h("div", { class: "wb-buttons" }, buttons.undo, buttons.redo)),
    note,
    totals,
    h(
      "div", { class: "wb-body" },
      h("div", { class: "wb-left" }, quick, list, h("div", { class: "wb-foot" }, scale, chosen)),
      h("div", { class: "wb-right" }, form, status, h("h4", {}, "Steps"), history),
    ),
  );

  // ---- drawing -------------------------------------------------------------------------------------------------
  const view = () => model.get("view");
  const selection = () => model.get("selection");

  function drawView() {
    const v = view();
    title.replaceChildren(h("b", {}, v.model), h("span", {}, `${v.input} on ${v.target}`));
    note.textContent = v.note;
    note.hidden = !v.note;
    const known = choice.value;
    choice.replaceChildren(...v.transforms.map((t) => h("option", { value: t.name }, t.label)));
    if (v.transforms.some((t) => t.name === known)) choice.value = known;
    scale.replaceChildren(
      h("span", {}, "share of latency 0 %"),
      ...Array.from({ length: STEPS }, (_, i) => h("i", { class: `wb-heat-${i}` })),
      h("span", {}, v.top),
    );
    scale.hidden = !v.top;
    const kinds = new Map();
    for (const block of v.blocks) kinds.set(block.kind, (kinds.get(block.kind) ?? 0) + 1);
    const pick = (text, wanted) => h("button", { type: "button", onclick: () => select(v.blocks.filter(wanted).map((b) => b.name)) }, text);
    quick.replaceChildren(
      h("span", {}, "Select"),
      pick("all", () => true),
      pick("none", () => false),
      ...[...kinds].map(([kind, count]) => pick(`${kind} (${count})`, (b) => b.kind === kind)),
    );
    history.replaceChildren(
      ...v.history.map((step) =>
        h("li", {}, h("code", {}, step.text), " ", h("span", { class: "wb-muted" }, step.latency_text), " ",
          step.change ? h("span", { class: mood(step.change) }, step.change) : null)),
    );
    if (!v.blocks.some((b) => b.name === focused)) focused = v.blocks[0]?.name ?? null;
    drawBlocks();
    drawTotals();
    drawForm();
    drawButtons();
  }

  function drawBlocks() {
    const had = list.contains(document.activeElement);
    const on = new Set(selection());
    list.replaceChildren(
      ...view().blocks.map((block) =>
        h(
          "div",
          {
            role: "option", class: `wb-block ${block.heat === null ? "wb-heat-none" : `wb-heat-${block.heat}`}`,
            "data-block": block.name, "aria-selected": on.has(block.name) ? "true" : "false",
            tabindex: block.name === focused ? "0" : "-1",
            title: `${block.name} \u00b7 ${block.kind} \u00b7 ${block.shape}${block.change ? ` \u00b7 ${block.change} since opened` : ""}`,
            onclick: (event) => click(block.name, event),
          },
          h("span", { class: "wb-name" }, h("bdi", {}, block.name)),
          h("span", { class: "wb-kind" }, block.kind),
          h("span", { class: "wb-kind" }, block.shape),
          h("span", { class: "wb-cost" }, h("span", {}, block.latency_text), h("span", {}, block.share_text)),
        )),
    );
    if (had) option(focused)?.focus();
    drawChosen();
  }

  function drawChosen() {
    const on = new Set(selection());
    for (const node of list.children) {
      node.setAttribute("aria-selected", on.has(node.dataset.block) ? "true" : "false");
      node.tabIndex = node.dataset.block === focused ? 0 : -1;
    }
    const blocks = view().blocks.filter((b) => on.has(b.name));
    const share = blocks.reduce((sum, b) => sum + (b.share ?? 0), 0);
    chosen.textContent = blocks.length
      ? `${blocks.length} block${blocks.length === 1 ? "" : "s"} selected` + (view().top ? `, ${(100 * share).toFixed(1)} % of the latency` : "")
      : "No block selected";
  }

  function drawTotals() {
    const preview = shown?.totals;
    totals.replaceChildren(
      ...Object.entries(view().totals).map(([name, total]) => {
        const ahead = preview?.[name];
        return h(
          "div", { class: "wb-total", title: total.meaning, "data-total": name },
          h("div", { class: "wb-label" }, total.label),
          h("div", { class: "wb-value" }, total.text),
          h("div", { class: "wb-from" },
            total.mood === "better" || total.mood === "worse" ? h("span", { class: `wb-${total.mood}` }, total.change) : null,
            h("span", {}, total.mood === "same" ? "as opened" : total.mood ? `from ${total.baseline_text}` : "\u00a0")),
          ahead
            ? h("div", { class: "wb-ahead", "data-preview": name, "aria-label": `would be ${ahead.text}, ${ahead.change}` },
              "\u2192 ", h("b", {}, ahead.text), " ", h("span", { class: `wb-${ahead.mood}` }, ahead.change))
            : null,
        );
      }),
    );
  }

  function drawForm() {
    const transform = view().transforms.find((t) => t.name === choice.value);
    if (!transform) return;
    about.textContent = transform.help;
    const draft = (drafts[transform.name] ??= {});
    options.replaceChildren(...transform.options.flatMap((o) => field(o, draft)));
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
      input.value = o.type === "blocks" ? pattern : value ?? "";
    }
    input.dataset.option = o.name;
    input.dataset.type = o.type;
    const help = o.help ? h("small", { id: `${id}-help` }, o.help) : null;
    if (help) input.setAttribute("aria-describedby", `${id}-help`);
    return [h("label", { for: id }, o.label), h("div", {}, input, help)];
  }

  /** The field for blocks follows the selection; what is typed into it stays until the selection changes. */
  function fillBlocks() {
    const on = selection();
    pattern = on.length === names().length ? "*" : on.join(", ");
    const input = options.querySelector('[data-type="blocks"]');
    if (input) input.value = pattern;
  }

  function drawButtons() {
    const v = view();
    const busy = waiting !== null;
    root.setAttribute("aria-busy", String(busy));
    able(buttons.undo, !busy && connected && v.can_undo);
    able(buttons.redo, !busy && connected && v.can_redo);
    able(buttons.apply, !busy && connected);
    able(buttons.preview, !busy && connected);
  }

  /** A button that is off keeps the focus: a disabled one would drop it to the page. */
  function able(node, on) {
    node.setAttribute("aria-disabled", String(!on));
  }

  function drawStatus() {
    status.textContent = connected ? model.get("status") : "The kernel that drew this is gone; run the cell again to go on from here.";
    status.classList.toggle("wb-failed", connected && model.get("failed"));
  }

  // ---- selecting -----------------------------------------------------------------------------------------------
  const option = (name) => [...list.children].find((node) => node.dataset.block === name);
  const names = () => view().blocks.map((b) => b.name);

  function select(wanted) {
    const on = new Set(wanted);
    model.set("selection", names().filter((name) => on.has(name)));
    model.save_changes();
  }

  function range(to) {
    const all = names();
    const [a, b] = [all.indexOf(anchor ?? to), all.indexOf(to)].sort((x, y) => x - y);
    return all.slice(Math.max(a, 0), b + 1);
  }

  function toggle(name) {
    const on = new Set(selection());
    if (!on.delete(name)) on.add(name);
    select(on);
  }

  function click(name, event) {
    focused = name;
    if (event.shiftKey) select(range(name));
    else if (event.ctrlKey || event.metaKey) toggle(name);
    else select(selection().length === 1 && selection()[0] === name ? [] : [name]);
    if (!event.shiftKey) anchor = name;
    drawChosen();
    option(name)?.focus();
  }

  function columns() {
    const first = list.children[0]?.offsetTop;
    const below = [...list.children].findIndex((node) => node.offsetTop !== first);
    return below < 0 ? list.children.length : below;
  }

  list.addEventListener("keydown", (event) => {
    const all = names();
    const at = all.indexOf(focused);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), Home: -at, End: all.length - 1 - at };
    if (event.key === " " || event.key === "Enter") {
      toggle(focused);
      anchor = focused;
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      select(all);
    } else if (event.key === "Escape") {
      select([]);
    } else if (event.key in steps) {
      if (event.shiftKey) anchor ??= focused;
      focused = all[Math.min(all.length - 1, Math.max(0, at + steps[event.key]))];
      if (event.shiftKey) select(range(focused));
      else anchor = null;
      drawChosen();
      option(focused)?.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  });

  // ---- commands ------------------------------------------------------------------------------------------------
  function params() {
    const given = {};
    for (const input of options.querySelectorAll("[data-option]")) {
      const { option: name, type } = input.dataset;
      const text = input.value.trim();
      if (type === "bool") given[name] = input.checked;
      else if (type === "blocks") given[name] = text.split(/\s*,\s*(?![^[]*\])/).filter(Boolean).join(",") || "*";
      else if (text === "") continue; // left empty: the transform's own default
      else if (type === "list") given[name] = text.split(",").map((part) => part.trim()).filter(Boolean);
      else given[name] = type === "int" || type === "float" ? Number(text) : text;
    }
    return given;
  }

  /** JupyterLab keeps a form from being submitted by the Enter key: it is done here. */
  function submitOnEnter(event) {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    send("apply");
  }

  function send(action) {
    if (waiting !== null || buttons[action].getAttribute("aria-disabled") === "true") return;
    const id = Math.max(model.get("done"), model.get("command")?.id ?? 0) + 1;
    const step = action === "apply" || action === "preview" ? { transform: choice.value, params: params() } : {};
    waiting = setTimeout(() => {
      // Busy, or gone without a word: nothing stays switched off for good.
      waiting = null;
      drawButtons();
      status.textContent = "The kernel has not answered yet; it may be busy with another cell.";
    }, 5000);
    drawButtons();
    model.set("command", { id, action, ...step });
    model.save_changes();
  }

  function answered() {
    clearTimeout(waiting);
    waiting = null;
    drawButtons();
    drawStatus();
  }

  /** A preview belongs to the form it was asked for. */
  function forget() {
    if (shown === null) return;
    shown = null;
    drawTotals();
  }

  function drawPreview() {
    const preview = model.get("preview");
    shown = preview?.totals ? preview : null;
    drawTotals();
  }

  /** A restarted kernel knows nothing of this bench: what is drawn stays to be read. */
  function leaveKernel() {
    connected = false;
    clearTimeout(waiting);
    waiting = null;
    drawButtons();
    drawStatus();
  }
  const followStatus = (_, status) => { if (["restarting", "autorestarting", "dead"].includes(status)) leaveKernel(); };
  // JupyterLab's own signals, where the page has them: the model does not hear of a restart.
  const signals = [
    [model.widget_manager?.kernel?.statusChanged, followStatus],
    [model.widget_manager?.context?.sessionContext?.kernelChanged, leaveKernel],
  ];

  /** The picture stored beside the bench is for readers without a kernel. */
  function hidePicture() {
    for (const node of document.getElementsByClassName(`wb-picture-${model.get("picture")}`)) {
      (node.closest(".jp-OutputArea-child") ?? node).style.display = "none";
    }
  }

  // ---- following Python ----------------------------------------------------------------------------------------
  const follow = {
    "change:view": drawView,
    "change:selection": () => { drawChosen(); fillBlocks(); forget(); },
    "change:preview": drawPreview,
    "change:status": drawStatus,
    "change:failed": drawStatus,
    "change:done": answered,
  };
  for (const [event, callback] of Object.entries(follow)) model.on(event, callback);
  for (const [signal, callback] of signals) signal?.connect(callback);
  drawView();
  fillBlocks();
  drawPreview();
  drawStatus();
  el.append(root);
  hidePicture();
  return () => {
    clearTimeout(waiting);
    for (const [event, callback] of Object.entries(follow)) model.off(event, callback);
    for (const [signal, callback] of signals) signal?.disconnect(callback);
  };
}

export default { render };
