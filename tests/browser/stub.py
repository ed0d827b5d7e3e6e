"""The bench in a plain page, on a stub of the model fed with what a real session sends: no kernel, no JupyterLab."""

import json
from typing import Any

from playwright.sync_api import Locator, Page

from workbench.widgets import Bench

__all__ = ["files_of", "opened", "state_of"]

# What anywidget gives `render`: traits, events, and a record of the messages that would go to the kernel.
STUB = """
() => { window.open_bench = async ([source, style, state]) => {
  const sheet = document.createElement("style");
  sheet.textContent = style;
  document.head.append(sheet);
  const listeners = {};
  window.messages = [];
  let changed = {};
  window.model = {
    get: (name) => state[name],
    receive(name, value) {
      state[name] = value;
      (listeners[`change:${name}`] ?? []).forEach((f) => f());
    },
    set(name, value) {
      changed[name] = value;
      this.receive(name, value);
    },
    save_changes() { window.messages.push(changed); changed = {}; },
    on(event, callback) { (listeners[event] ??= []).push(callback); },
    off(event, callback) { listeners[event] = (listeners[event] ?? []).filter((f) => f !== callback); },
  };
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.leave = module.default.render({ model: window.model, el: document.body });
}; }
"""


def state_of(bench: Bench) -> dict[str, Any]:
    """Every trait a browser gets."""
    names = [name for name in bench.trait_names(sync=True) if not name.startswith("_")]
    return {name: getattr(bench, name) for name in names if name not in ("layout", "tabbable", "tooltip")}


def files_of(bench: Bench) -> dict[str, str]:
    """The modules, joined, and their style sheet."""
    return {"source": bench._esm, "style": bench._css}


def opened(page: Page, states: dict[str, Any], name: str) -> Locator:
    """The bench in an empty page. states: what `state_of` gave, by name, and under "files" what `files_of` gave."""
    page.goto("about:blank")
    page.evaluate(STUB)
    page.evaluate(
        "window.open_bench", [states["files"]["source"], states["files"]["style"], json.loads(json.dumps(states[name]))]
    )
    return page.locator(".workbench-bench")
