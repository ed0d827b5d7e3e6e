// Makes the headings of a table[data-sort] into buttons that sort it. Without it the rows stand in their own order.
for (const table of document.querySelectorAll("table[data-sort]")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      // Numbers start with the largest, text with the letter A; a second click turns the order around.
      const first = heading.classList.contains("wb-text") ? "ascending" : "descending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const compare = (a, b) =>
        a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b, "en", { numeric: true });
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => sign * compare(key(a), key(b))));
    });
  });
}

// The figures answer to the pointer and the keyboard. All texts of the page are there without this script; it shows
// more of them. Text goes in as text.
function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Time: a column opens its block below.
const opened = [...document.querySelectorAll(".wb-opened > details")];
const time = document.querySelector("[data-figure='time']");
function openBlock(place) {
  const block = opened[place];
  if (!block) return;
  for (const other of opened) other.open = other === block;
  block.scrollIntoView({ block: "nearest" });
  block.querySelector("summary").focus({ preventScroll: true });
}
if (time && opened.length) {
  time.addEventListener("click", (event) => {
    const column = event.target.closest("[data-block]");
    if (column) openBlock(Number(column.dataset.block));
  });
  const mark = () => time.querySelectorAll("[data-block]").forEach((column) => {
    column.classList.toggle("wb-chosen", opened[column.dataset.block]?.open ?? false);
  });
  for (const block of opened) block.addEventListener("toggle", mark);
  const slow = opened.map((_, place) => place).sort((a, b) =>
    parseFloat(opened[b].dataset.latency) - parseFloat(opened[a].dataset.latency))[0];
  const by = (text, on) => {
    const button = make("button", { type: "button", textContent: text });
    button.setAttribute("aria-pressed", String(!on));
    button.addEventListener("click", () => {
      time.classList.toggle("wb-by-bound", on);
      document.querySelectorAll("[data-legend]").forEach((legend) => { legend.hidden = (legend.dataset.legend === "bound") !== on; });
      for (const other of button.parentNode.children) if (other.ariaPressed !== null) other.setAttribute("aria-pressed", String(other === button));
    });
    return button;
  };
  const slowest = make("button", { type: "button", textContent: "Open the slowest block" });
  slowest.addEventListener("click", () => openBlock(slow));
  time.before(make("div", { className: "wb-tools" }, make("span", { textContent: "Colour by" }), by("share of latency", false), by("what limits it", true), slowest));
}

// Memory: a slider, the pointer and the arrow keys walk through the steps.
const alive = document.querySelector("[data-steps]");
const memory = document.querySelector("[data-figure='memory'] > svg:last-child");
if (alive && memory) {
  const { steps, tensors } = JSON.parse(alive.dataset.steps);
  const peak = Number(alive.dataset.peak);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  line.setAttribute("class", "wb-cursor");
  line.setAttribute("y1", "0");
  line.setAttribute("y2", "180");
  memory.append(line);
  const slider = make("input", { type: "range", min: 0, max: steps.length - 1, value: peak });
  slider.setAttribute("aria-label", "Step of the inference");
  const show = (number) => {
    const [x, runs, live, names] = steps[number];
    slider.value = number;
    slider.setAttribute("aria-valuetext", `${runs}, ${live} alive`);
    line.setAttribute("x1", `${100 * x}%`);
    line.setAttribute("x2", `${100 * x}%`);
    const largest = Math.max(1, ...names.map((name) => tensors[name][1]));
    const word = number === peak ? ", the peak" : "";
    alive.replaceChildren(
      make("p", { className: "wb-step" }, `Step ${number + 1} of ${steps.length}${word}: `, make("code", { textContent: runs }), " ", make("b", { textContent: `${live} alive` })),
      make("ul", {}, ...names.map((name) => {
        const [maker, bytes, text] = tensors[name];
        const bar = make("i");
        bar.style.width = `${(100 * bytes) / largest}%`;
        return make("li", {}, make("code", { textContent: maker }), " ", make("span", { className: "wb-number", textContent: text }), bar);
      })),
    );
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  const nearest = (event) => {
    const box = memory.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    show(steps.reduce((best, step, i) => (Math.abs(step[0] - x) < Math.abs(steps[best][0] - x) ? i : best), 0));
  };
  memory.addEventListener("pointermove", nearest);
  memory.addEventListener("pointerdown", nearest);
  const top = make("button", { type: "button", textContent: "To the peak" });
  top.addEventListener("click", () => show(peak));
  alive.before(make("div", { className: "wb-tools" }, make("span", { textContent: "Step" }), slider, top));
  show(peak);
}

// Code and recipe can be copied.
for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = make("button", { type: "button", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.before(make("div", { className: "wb-tools wb-copy" }, button));
}
