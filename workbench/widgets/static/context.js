// What the parts of the bench share: the model, the selection, what is pointed at, and who wants to hear of it.

/** The parts draw what `get` gives and are told by `emit`; commands go to Python by `send`. */
export function makeContext(model) {
  const listeners = new Map();
  let pointed = null; // the ghost of what is pointed at or has the focus
  let waiting = null; // the timer of a command that was not answered yet
  let connected = true; // to a kernel that can answer
  const context = {
    uid: Math.random().toString(36).slice(2, 8), // labels need ids, and a bench may be shown twice
    focused: null, // name of the block the keyboard is on
    anchor: null, // where a range of blocks begins
    colour: "share",
    width: "operators",
    get: (name) => model.get(name),
    view: () => model.get("view"),
    selection: () => model.get("selection"),
    connected: () => connected,
    busy: () => waiting !== null,

    on(event, listener) {
      if (!listeners.has(event)) listeners.set(event, []);
      listeners.get(event).push(listener);
    },
    emit(event) {
      for (const listener of listeners.get(event) ?? []) listener();
    },

    /** The network drawn over this one: what is pointed at, else the preview, else the plan for the budgets. */
    ghost() {
      const preview = model.get("preview");
      if (pointed) return pointed;
      if (preview?.totals) return { totals: preview.totals, blocks: preview.ghost?.blocks ?? {} };
      const plan = model.get("plan");
      return plan?.ghost?.totals ? plan.ghost : null;
    },
    point(ghost) {
      if (pointed === ghost) return;
      pointed = ghost;
      context.emit("ghost");
    },

    select(wanted) {
      const on = new Set(wanted);
      pointed = null;
      model.set("selection", context.view().blocks.map((block) => block.name).filter((name) => on.has(name)));
      model.save_changes();
    },
    /** A choice of what is shown that Python has to know. */
    assign(trait, value) {
      model.set(trait, value);
      model.save_changes();
    },
    toggle(name) {
      const on = new Set(context.selection());
      if (!on.delete(name)) on.add(name);
      context.select(on);
    },

    /** One command, one message; false where nobody can answer now. */
    send(action, values = {}) {
      if (waiting !== null || !connected) return false;
      const id = Math.max(model.get("done"), model.get("command")?.id ?? 0) + 1;
      waiting = setTimeout(() => {
        // Busy, or gone without a word: nothing stays switched off for good.
        waiting = null;
        context.emit("late");
        context.emit("connection");
      }, 5000);
      context.emit("connection");
      model.set("command", { id, action, ...values });
      model.save_changes();
      return true;
    },
    answered() {
      clearTimeout(waiting);
      waiting = null;
      context.emit("connection");
    },
    /** A restarted kernel knows nothing of this bench: what is drawn stays to be read. */
    leave() {
      connected = false;
      context.answered();
    },
  };
  return context;
}
