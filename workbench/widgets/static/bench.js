// The bench. Python decides everything that is shown (view.py); these modules draw it and send commands.

import { branches } from "./branches.js";
import { code } from "./code.js";
import { makeContext } from "./context.js";
import { h, rove } from "./dom.js";
import { form } from "./form.js";
import { gauges } from "./gauges.js";
import { head } from "./head.js";
import { memoryTrack } from "./memory.js";
import { opening } from "./opening.js";
import { operators } from "./operators.js";
import { search } from "./search.js";
import { stageRow } from "./stages.js";
import { targets } from "./targets.js";
import { timeTrack } from "./time.js";
import { makeTip } from "./tip.js";
import { toolbar } from "./toolbar.js";
import { whatIf } from "./whatif.js";
import { why } from "./why.js";

// traits of the model -> what the parts are told
const TRAITS = {
  view: "view", selection: "selection", table: "table", curve: "curve", advice: "advice", branches: "branches", budgets: "budgets",
  plan: "plan", compiling: "compiling", notes: "notes", cell: "cell", targets: "targets", transforms: "transforms",
  search: "search", searched: "searched", search_code: "search_code", front: "front", marks: "marks", beside: "beside", sides: "sides", deployed: "deployed",
  status: "status", failed: "status", preview: "ghost",
};
const PANELS = [["whatif", "What if"], ["operators", "Operators"], ["form", "Any step"], ["branches", "Branches"], ["targets", "Targets"], ["search", "Search"], ["code", "Code"]];

function render({ model, el }) {
  const context = makeContext(model);
  const root = h("div", { class: "workbench-bench", "data-lm-suppress-shortcuts": "true", role: "region", "aria-label": "Workbench", onkeydown: shortcuts });
  const tip = makeTip(root);
  const note = h("p", { class: "wb-note", role: "note", hidden: true });
  const panels = { whatif: whatIf(context), operators: operators(context), form: form(context), branches: branches(context), targets: targets(context), search: search(context), code: code(context) };
  const parts = {
    head: head(context), gauges: gauges(context), toolbar: toolbar(context), time: timeTrack(context, tip),
    memory: memoryTrack(context, tip), stages: stageRow(context), why: why(context), ...panels,
  };
  parts.opening = opening(context, {
    budget: () => parts.gauges.edit("latency_ms"),
    why: () => {
      const { findings = [] } = context.get("advice");
      context.colour = "bound";
      root.querySelector("[data-field=colour]").value = "bound";
      context.emit("look");
      if (findings[0]?.block) context.select([findings[0].block]);
      openPanel("operators");
    },
  });
  const tabs = h("div", { class: "wb-tabs", role: "tablist", "aria-label": "Panels" }, ...PANELS.map(([name, text]) =>
    h("button", { type: "button", role: "tab", "data-tab": name, id: `tab-${name}-${context.uid}`, "aria-controls": `panel-${name}-${context.uid}`, onclick: () => openPanel(name) }, text)));

  function openPanel(name) {
    for (const [each] of PANELS) {
      panels[each].root.hidden = each !== name;
      const tab = tabs.querySelector(`[data-tab=${each}]`);
      tab.setAttribute("aria-selected", String(each === name));
      if (each === name) rove(tabs.children, tab);
    }
    if (name !== "form") panels[name].draw(); // what is typed there stays
  }

  tabs.addEventListener("keydown", (event) => {
    const at = [...tabs.children].indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: PANELS.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = tabs.children[(to + PANELS.length) % PANELS.length];
    openPanel(tab.dataset.tab);
    tab.focus();
  });

  for (const [name] of PANELS) {
    panels[name].root.id = `panel-${name}-${context.uid}`;
    panels[name].root.setAttribute("role", "tabpanel");
    panels[name].root.setAttribute("aria-labelledby", `tab-${name}-${context.uid}`);
  }
  root.prepend(
    parts.head.root, parts.gauges.root, note, parts.opening.root, parts.toolbar.root,
    h("div", { class: "wb-tracks" }, parts.time.root, parts.memory.root, parts.stages.root),
    h("div", { class: "wb-body" },
      h("div", { class: "wb-left" }, tabs, ...PANELS.map(([name]) => panels[name].root)),
      h("div", { class: "wb-right" }, parts.why.root)),
  );

  function drawNote() {
    note.textContent = context.view().note;
    note.hidden = !context.view().note;
  }

  /** A preview is dropped here and in every view of this model, without asking Python. */
  context.forgetPreview = () => {
    if (!model.get("preview")?.totals) return;
    model.set("preview", {});
    model.save_changes();
  };

  function shortcuts(event) {
    const typing = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    let action = null;
    if (control && !typing && key === "z") action = event.shiftKey ? "redo" : "undo";
    else if (control && !typing && key === "y") action = "redo";
    else if (key === "/" && !typing) parts.toolbar.search.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
    if (action && context.view()[`can_${action}`]) context.send(action);
  }

  const followStatus = (_, status) => { if (["restarting", "autorestarting", "dead"].includes(status)) context.leave(); };
  // JupyterLab's own signals, where the page has them: the model does not hear of a restart.
  const signals = [
    [model.widget_manager?.kernel?.statusChanged, followStatus],
    [model.widget_manager?.context?.sessionContext?.kernelChanged, context.leave],
  ];

  /** The picture stored beside the bench is for readers without a kernel. */
  function hidePicture() {
    for (const node of document.getElementsByClassName(`wb-picture-${model.get("picture")}`)) {
      (node.closest(".jp-OutputArea-child") ?? node).style.display = "none";
    }
  }

  const follow = Object.fromEntries(Object.entries(TRAITS).map(([trait, event]) => [`change:${trait}`, () => context.emit(event)]));
  follow["change:done"] = context.answered;
  for (const [event, callback] of Object.entries(follow)) model.on(event, callback);
  for (const [signal, callback] of signals) signal?.connect(callback);
  context.on("view", drawNote);
  el.append(root);
  drawNote();
  for (const part of Object.values(parts)) part.draw();
  openPanel("whatif");
  hidePicture();
  if (!model.get("looked")) {
    model.set("looked", true); // from now on choices are priced ahead
    model.save_changes();
  }
  return () => {
    context.answered();
    for (const [event, callback] of Object.entries(follow)) model.off(event, callback);
    for (const [signal, callback] of signals) signal?.disconnect(callback);
  };
}

export default { render };
