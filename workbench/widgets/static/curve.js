// The slider for a width, under the curve of what each width costs; its knees are marked.

import { fill, h, percent } from "./dom.js";

export function curve(context) {
  const caption = h("label", { for: `curve-${context.uid}` });
  const bars = h("div", { class: "wb-curve-bars", "aria-hidden": "true" });
  const slider = h("input", {
    id: `curve-${context.uid}`, type: "range", min: "0", step: "1", "data-field": "curve",
    oninput: () => show(), onfocus: () => show(), onblur: () => leave(),
    onkeydown: (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
      take(event.shiftKey);
    },
  });
  const told = h("span", { class: "wb-told-width" });
  const button = h("button", { type: "button", onclick: () => take(false) }, "apply");
  const root = h("div", { class: "wb-curve", hidden: true }, h("div", { class: "wb-curve-head" }, caption, told, button), bars, slider);
  let at = null;

  const list = () => context.get("curve")?.points ?? [];

  function draw() {
    const points = list();
    root.hidden = points.length < 2;
    if (root.hidden) return;
    caption.textContent = context.get("curve").label;
    slider.max = String(points.length - 1);
    if (at === null || at >= points.length) at = points.length - 1;
    slider.value = String(at);
    const most = Math.max(...points.map((point) => point.latency_ms));
    fill(bars, ...points.map((point, i) => h("i", {
      class: point.knee ? "wb-knee" : null, style: `height:${percent(point.latency_ms / most)}`, title: `${point.text}: ${point.latency_text}${point.knee ? ", the cost jumps behind it" : ""}`,
      onpointerenter: () => { slider.value = String(i); show(); }, onpointerleave: () => leave(), onclick: () => slider.focus(),
    })));
    tell();
  }

  function tell() {
    const point = list()[at];
    told.textContent = `${point.text}: ${point.latency_text}, ${point.change}${point.knee ? "; the cost jumps behind it" : ""}`;
    slider.setAttribute("aria-valuetext", told.textContent);
    [...bars.children].forEach((node, i) => node.classList.toggle("wb-on", i === at));
  }
  function show() {
    at = Number(slider.value);
    tell();
    context.point(list()[at].ghost);
  }
  function leave() {
    context.point(null);
  }
  function take(branch) {
    const point = list()[at];
    if (point) context.send("apply", { steps: point.steps, ...(branch ? { branch: true } : {}) });
  }

  context.on("curve", draw);
  return { root, draw };
}
