"use strict";
// The curves of a cell, drawn from numbers of the page when the cell is opened.

const MARKERS = {
  o: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", s: "M-2.7-2.7h5.4v5.4h-5.4z", "^": "M0-3.4L3.3 2.6H-3.3z",
  D: "M0-3.7L3.7 0L0 3.7L-3.7 0z", v: "M0 3.4L3.3-2.6H-3.3z", P: "M-1-3h2v2h2v2h-2v2h-2v-2h-2v-2h2z",
  X: "M-3-2L-2-3L0-1L2-3L3-2L1 0L3 2L2 3L0 1L-2 3L-3 2L-1 0z", x: "M-3-3L3 3M-3 3L3-3",
  "+": "M0-3.6V3.6M-3.6 0H3.6", 1: "M0 0V3.6M0 0L-3-2M0 0L3-2", 2: "M0 0V-3.6M0 0L-3 2M0 0L3 2",
};

/** An element of SVG with attributes and children. */
function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Round values from low to high, about so many. */
function ticks(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-6); at * step <= high + step * 1e-6; at++) found.push(at * step);
  return { step, found };
}

/** A number as the tables write it, with so many decimals as its grain has. */
function numberText(value, grain) {
  const digits = Math.min(20, Math.max(0, -Math.floor(Math.log10(grain) + 1e-9)));
  const text = value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return text.replace(/^-(?=[0.,]*$)/, "").replace("-", "−");
}

/** Curves with known ends of their intervals, cut off at what is possible. */
function unfolded(data, number) {
  const cell = data.cells[number];
  const { grain, possible } = data.targets[cell.target];
  const [least, greatest] = [possible[0] ?? -Infinity, possible[1] ?? Infinity];
  const real = (values) => values.map((each) => (each === null ? NaN : each * grain));
  const band = ({ steps, mean, half }) => {
    const [middle, width] = [real(mean), real(half)];
    return {
      steps: data.steps[steps], mean: middle,
      low: middle.map((each, at) => each - width[at]), high: middle.map((each, at) => each + width[at]),
    };
  };
  const arm = { ...cell, ...band(cell), each: (cell.each ?? []).map(real), over: cell.over && band(cell.over) };
  arm.low = arm.low.map((each) => Math.max(each, least));
  arm.high = arm.high.map((each) => Math.min(each, greatest));
  return arm;
}

/** Lowest and highest of a panel: all means, and what lies about them up to a share of their range; and whether more does. */
function heights(means, edges, room) {
  const known = (values) => values.filter(Number.isFinite);
  const [low, high] = [Math.min(...known(means)), Math.max(...known(means))];
  const more = room * (high - low || 1);
  const bottom = Math.max(Math.min(low, ...known(edges)), low - more);
  const top = Math.min(Math.max(high, ...known(edges)), high + more);
  const margin = 0.04 * (top - bottom || 1);
  const cut = known(edges).some((each) => each < bottom - margin || each > top + margin);
  return [bottom - margin, top + margin, cut];
}

/** A panel with axes: where values lie, and what draws lines and areas there. */
function panel(place, [low, high], last, named) {
  const x = (step) => place.left + ((place.right - place.left) * step) / (last || 1);
  const y = (value) => place.bottom - ((place.bottom - place.top) * (value - low)) / (high - low);
  const dots = (steps, values) => {
    const found = steps.map((step, at) => [x(step), y(values[at])]).filter((each) => each.every(Number.isFinite));
    return found.map((each) => each.map((value) => value.toFixed(1)).join(" "));
  };
  const box = drawn("g", {});
  const { step, found } = ticks(low, high, (place.bottom - place.top) / place.apart);
  for (const each of found) {
    box.append(drawn("path", { d: `M${place.left} ${y(each)}H${place.right}`, class: "rule" }));
    const text = numberText(each, Math.min(1, step));
    box.append(drawn("text", { x: place.left - 6, y: y(each) + 4, "text-anchor": "end" }, text));
  }
  const across = ticks(0, last, (place.right - place.left) / 90);
  for (const each of across.found) {
    box.append(drawn("path", { d: `M${x(each)} ${place.top}V${place.bottom}`, class: "rule" }));
    const text = numberText(each, Math.min(1, across.step));
    if (named) box.append(drawn("text", { x: x(each), y: place.bottom + 16, "text-anchor": "middle" }, text));
  }
  box.append(drawn("path", { d: `M${place.left} ${place.top}V${place.bottom}H${place.right}`, class: "axis" }));
  return {
    box, x, y,
    line: (steps, values, style) => drawn("path", { d: `M${dots(steps, values).join("L") || "0 0"}`, style: `fill: none; ${style}` }),
    area: (steps, lower, upper, style) => {
      const ends = [...dots(steps, lower), ...dots(steps, upper).reverse()];
      return drawn("path", { d: ends.length ? `M${ends.join("L")}z` : "M0 0", style: `stroke: none; ${style}` });
    },
  };
}

/** A line as the arm's look says, and its marks where they are not too many. */
function meanLine(into, look, steps, mean, width = 1.9) {
  const dashes = look.dashes.map((each) => (each * width).toFixed(1)).join(" ");
  const found = [into.line(steps, mean, `stroke: ${look.colour}; stroke-width: ${width}; stroke-dasharray: ${dashes || "none"}`)];
  const every = Math.ceil(steps.length / 12);
  const filled = "xX+12".includes(look.marker) && look.marker !== "X" ? "none" : look.colour;
  steps.forEach((step, at) => {
    if (!look.marker || at % every || !Number.isFinite(mean[at])) return;
    const place = `translate(${into.x(step).toFixed(1)} ${into.y(mean[at]).toFixed(1)})`;
    const style = `fill: ${filled}; stroke: ${look.colour}; stroke-width: 1.2`;
    found.push(drawn("path", { d: MARKERS[look.marker] ?? MARKERS.o, transform: place, style }));
  });
  return found;
}

/** What an arm has at a place of its curve. */
function valueText(arm, at, grain) {
  const [mean, low, high] = [arm.mean, arm.low, arm.high].map((each) => each[at]);
  const ends = Number.isFinite(low) ? ` [${numberText(low, grain)}, ${numberText(high, grain)}]` : "";
  return `${arm.arm}: ${numberText(mean, grain)}${ends}`;
}

/** The panel of curves, and below it that of the difference to the from-scratch arm, if there is one. */
function cellChart(data, number, width) {
  const target = data.targets[data.cells[number].target];
  const arms = [...data.cells[number].beside, number].filter((each) => data.cells[each]).map((each) => unfolded(data, each));
  const cell = arms.at(-1);
  const last = Math.max(...arms.flatMap((arm) => arm.steps));
  const left = 64;
  const place = { left, right: width - 12, top: 22, bottom: 262, apart: 45 };
  const below = { left, right: width - 12, top: 304, bottom: 404, apart: 28 };
  const height = (cell.over ? below : place).bottom + 40;
  const name = `own-${number}`;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${name}-title ${name}-desc` });
  const ends = arms.map((arm) => valueText(arm, arm.mean.length - 1, target.grain));
  svg.append(
    drawn("title", { id: `${name}-title` }, `Learning curves of ${cell.arm} on ${target.name}`),
    drawn("desc", { id: `${name}-desc` }, `${data.measure} at the end: ${ends.join("; ")}.`),
  );
  const clipped = (panelOf, id) => {
    const frame = drawn("rect", { x: panelOf.left, y: panelOf.top, width: panelOf.right - panelOf.left, height: panelOf.bottom - panelOf.top });
    svg.append(drawn("clipPath", { id: `${name}-${id}` }, frame));
    return drawn("g", { "clip-path": `url("#${name}-${id}")` });
  };
  const levels = target.levels.map((each) => each[0]);
  const about = arms.flatMap((arm) => [...arm.low, ...arm.high, ...arm.each.flat()]);
  const range = heights([...arms.flatMap((arm) => arm.mean), ...levels], about, 1);
  let cut = range[2];
  const main = panel(place, range, last, !cell.over);
  const inside = clipped(place, "main");
  svg.append(main.box, drawn("text", { x: 4, y: 13 }, data.measure));
  const names = [];
  for (const [value, text] of target.levels) {
    inside.append(drawn("path", { d: `M${place.left} ${main.y(value)}H${place.right}`, class: "level" }));
    const over = main.y(value) > place.top + 16 ? -4 : 14;
    names.push(drawn("text", { x: place.right - 4, y: main.y(value) + over, "text-anchor": "end", class: "named" }, text));
  }
  for (const arm of arms) {
    const { colour } = data.looks[arm.look];
    inside.append(main.area(arm.steps, arm.low, arm.high, `fill: ${colour}; fill-opacity: .14`));
    const thin = `stroke: ${colour}; stroke-width: .6; stroke-opacity: ${Math.min(0.5, 4 / arm.each.length)}`;
    arm.each.forEach((values) => inside.append(main.line(arm.steps, values, thin)));
  }
  for (const arm of arms) inside.append(...meanLine(main, data.looks[arm.look], arm.steps, arm.mean));
  inside.append(...names);
  svg.append(inside);
  if (cell.over) {
    const { steps, mean, low, high } = cell.over;
    const reach = heights([0, ...mean], [...low, ...high], 1);
    const lower = panel(below, reach, last, true);
    cut ||= reach[2];
    const parts = clipped(below, "over");
    svg.append(lower.box, drawn("text", { x: 4, y: below.top - 9 }, `over ${data.baseline}`));
    parts.append(drawn("path", { d: `M${left} ${lower.y(0)}H${below.right}`, class: "axis" }));
    const { colour } = data.looks[cell.look];
    const zero = steps.map(() => 0);
    parts.append(lower.area(steps, low, high, `fill: ${colour}; fill-opacity: .1`));
    parts.append(lower.area(steps, zero, low.map((each) => Math.max(each, 0)), "fill: var(--gain, #2166ac); fill-opacity: .35"));
    parts.append(lower.area(steps, zero, high.map((each) => Math.min(each, 0)), "fill: var(--loss, #b35806); fill-opacity: .35"));
    parts.append(...meanLine(lower, { ...data.looks[cell.look], marker: "" }, steps, mean, 1.6));
    svg.append(parts);
  }
  svg.append(drawn("text", { x: (place.left + place.right) / 2, y: height - 6, "text-anchor": "middle" }, data.unit));
  const places = [...new Set(arms.flatMap((arm) => arm.steps))].sort((a, b) => a - b);
  places.forEach((step, at) => {
    const said = arms.filter((arm) => arm.steps.includes(step)).map((arm) => valueText(arm, arm.steps.indexOf(step), target.grain));
    const [from, to] = [(places[at - 1] ?? step) + step, (places[at + 1] ?? step) + step].map((each) => main.x(each / 2));
    const strip = drawn("path", { d: `M${from} ${place.top}H${to}V${place.bottom}H${from}z`, style: "fill: none" });
    svg.append(drawn("g", { class: "note" }, drawn("title", {}, [`at ${step.toLocaleString("en-US")} ${data.unit}`, ...said].join("\n")), strip));
  });
  return { svg, arms, cut };
}

/** The chart of a cell with its legend, and what it shows. */
function cellFigure(data, number, figure) {
  const { svg, arms, cut } = cellChart(data, number, Math.min(760, Math.max(300, figure.parentElement.clientWidth || 640)));
  const cell = arms.at(-1);
  const box = element("div", { className: "figure", tabIndex: 0 }, svg);
  const legend = element("ul", { className: "legend" });
  for (const arm of arms) {
    const across = { x: (each) => each, y: (each) => each, line: (steps, values, style) => drawn("path", { d: "M2 6H30", style }) };
    const sample = drawn("svg", { viewBox: "0 0 32 12", "aria-hidden": "true" }, ...meanLine(across, data.looks[arm.look], [16], [6]));
    legend.append(element("li", {}, sample, `${arm.arm}${arm.note}`));
  }
  const thin = arms.some((arm) => arm.each.length) ? "; thin: each seed" : "";
  const over = cell.over
    ? ` Below: difference to ${data.baseline}, ${data.share} band for all steps at once; shaded where the arms part (blue: gain, orange: loss).`
    : "";
  const text = `${cell.arm} on ${data.targets[cell.target].name}: mean over seeds, ${data.share} interval at each step${thin}.${over}${cut ? " What lies far beyond the means is cut off." : ""}`;
  figure.replaceChildren(box, legend, element("figcaption", { textContent: text }));
  readable(box);
}

/** Cells that are opened get their curves, once. */
function cellCurves() {
  const block = document.querySelector("script.curves");
  if (!block) return;
  let data = null;
  const read = async (text) => (text.startsWith("{") ? JSON.parse(text) : unpacked(text));
  document.addEventListener(
    "toggle",
    async ({ target }) => {
      const place = target.open && target.querySelector(':scope > span[id^="cell-"]');
      if (!place || place.nextElementSibling?.classList.contains("own")) return;
      const figure = element("figure", { className: "own" });
      place.after(figure);
      data ??= read(block.textContent);
      const number = Number(place.id.slice("cell-".length));
      const found = await data;
      if (found.cells[number]) cellFigure(found, number, figure);
    },
    true,
  );
}
