// The axis that time and memory share: a column a block, in execution order, and in it one place a step.

const LEAST = 0.011; // of the width: a block that is narrower could not be hit

/** Places as shares of the width: blocks [{left, width}], steps [{left, width, block}]. mode: "operators" or "time". */
export function places(view, mode) {
  const { blocks, steps } = view;
  const weights = blocks.map((block) => (mode === "time" ? (block.latency_ms ?? 1) : Math.max(block.steps, 1)));
  const sum = weights.reduce((a, b) => a + b, 0) || 1;
  const least = Math.min(LEAST, 1 / Math.max(1, blocks.length));
  const raised = weights.map((weight) => Math.max(weight / sum, least));
  const total = raised.reduce((a, b) => a + b, 0);
  let left = 0;
  const columns = raised.map((share) => {
    const column = { left, width: share / total };
    left += column.width;
    return column;
  });
  const inside = blocks.map(() => []);
  steps.forEach((step, number) => inside[step[0]].push(number));
  const placed = new Array(steps.length);
  inside.forEach((numbers, block) => {
    const { left: start, width } = columns[block];
    const parts = numbers.map((number) => (mode === "time" ? steps[number][4] + 1e-9 : 1));
    const whole = parts.reduce((a, b) => a + b, 0) || 1;
    let at = start;
    numbers.forEach((number, i) => {
      placed[number] = { left: at, width: (width * parts[i]) / whole, block };
      at += placed[number].width;
    });
  });
  return { blocks: columns, steps: placed };
}

/** The next round number, in steps that make readable ticks. */
export function niceCeiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((m) => m * power).find((m) => m >= value * (1 - 1e-9));
}

/** The place of a share of the width among places that follow one another. */
export function placeAt(list, share) {
  let low = 0;
  let high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].left + list[middle].width < share) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A number at the axis: no digits that say nothing. */
export const tick = (value, unit = "") => `${Number(value.toPrecision(3))}${unit}`;
