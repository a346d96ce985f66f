// What the page can do beyond being read. Everything it needs stands in the document; nothing is fetched.

const root = document.documentElement;

/** An element with properties and children. */
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A browser may refuse storage to a file; the page then forgets. */
function remember(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(key, value);
    return localStorage.getItem(key);
  } catch {
    return value ?? null;
  }
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = element("button", { type: "button" });
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const told = () => {
    button.textContent = shown() === "dark" ? "Light colours" : "Dark colours";
  };
  const kept = remember("rl-transfer-theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = remember("rl-transfer-theme", shown() === "dark" ? "light" : "dark");
    told();
  });
  dark.addEventListener("change", told);
  told();
  document.querySelector(".tools").append(button);
}

/** Numbers by size, those that are none last both ways; all else by name. */
function compare(a, b, sign = 1) {
  const [x, y] = [a, b].map((each) => Number.parseFloat(each.replace(/(\d),(?=\d{3})/g, "$1")));
  if (Number.isNaN(x) && Number.isNaN(y)) return sign * a.localeCompare(b, undefined, { numeric: true });
  return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y);
}

/** Words as a keyboard writes them. */
const typed = (text) => text.trim().replaceAll("−", "-").toLowerCase();

/** Buttons in the head of a table: once rising, once falling. */
function sortable(table) {
  const body = table.tBodies[0];
  const text = (row, place) => {
    const cell = row.cells[place];
    return typed(cell.dataset.gain ?? cell.textContent);
  };
  for (const head of table.tHead.rows[0].cells) {
    if (head.cellIndex && !head.textContent.trim()) continue;
    const button = element("button", { type: "button", className: "sort" });
    button.append(...head.childNodes);
    if (!button.textContent.trim()) button.append("strategy");
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      const sign = falling ? -1 : 1;
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const place = head.cellIndex;
      body.append(...[...body.rows].sort((a, b) => compare(text(a, place), text(b, place), sign)));
    });
    head.append(button);
  }
  if (!table.querySelector("[data-gain]")) return;
  const told =
    "Columns of verdicts are sorted by gain, of final quality where both stand: " +
    "as a score where there is one, also where the raw gain (r) is shown.";
  table.parentElement.after(element("p", { className: "said muted", textContent: told }));
}

/** A labelled control. */
function labelled(name, control) {
  return element("label", {}, element("span", { textContent: name }), control);
}

function choice(name, options) {
  const select = element("select");
  for (const [value, text] of options) select.append(element("option", { value, textContent: text }));
  return [select, labelled(name, select)];
}

/** Controls above a box of cells: table cells or folded details with source, target, strategy and verdict. */
function filtered(box) {
  const entries = [...box.querySelectorAll("[data-target]")];
  if (entries.length < 2) return;
  const bar = element("div", { className: "filter" });
  const search = element("input", { type: "search", placeholder: "any word" });
  bar.append(labelled("filter", search));
  const chosen = {};
  for (const name of ["strategy", "source", "target", "verdict"]) {
    const values = [...new Set(entries.flatMap((each) => each.dataset[name].split("|")))].filter(Boolean);
    if (values.length < 2) continue;
    const [select, shown] = choice(name, [["", "all"], ...values.map((each) => [each, each])]);
    select.addEventListener("change", update);
    chosen[name] = select;
    bar.append(shown);
  }
  const count = element("output", { className: "muted" });
  search.addEventListener("input", update);

  function matches(each) {
    const row = each.closest("tr")?.cells[0].textContent ?? "";
    const text = typed(`${Object.values(each.dataset).join(" ")} ${row} ${each.textContent}`);
    return (
      typed(search.value).split(/\s+/).every((word) => text.includes(word)) &&
      Object.entries(chosen).every(
        ([name, select]) => !select.value || each.dataset[name].split("|").includes(select.value),
      )
    );
  }

  function update() {
    let found = 0;
    for (const each of entries) {
      const fits = matches(each);
      found += fits;
      if (each.tagName === "TD") each.classList.toggle("out", !fits);
      else each.hidden = !fits;
    }
    for (const row of box.querySelectorAll("tbody tr")) {
      const own = [...row.querySelectorAll("[data-target]")];
      if (own.length) row.hidden = own.every((each) => each.classList.contains("out"));
    }
    count.textContent = found < entries.length ? `${found} of ${entries.length} cells` : `${found} cells`;
  }

  const folded = entries.filter((each) => each.tagName === "DETAILS");
  if (folded.length) {
    const orders = [["", "as planned"]];
    box.dataset.gains.split("|").forEach((name, place) => {
      orders.push([`${place} -1`, `${name}, largest gain first`], [`${place} 1`, `${name}, largest loss first`]);
    });
    const [select, shown] = choice("order", orders);
    select.addEventListener("change", () => {
      const [place, sign] = select.value.split(" ").map(Number);
      const gain = (each) => each.dataset.gain.split("|")[place] ?? "";
      const order = (a, b) => compare(gain(a), gain(b), sign);
      box.append(...(select.value ? [...folded].sort(order) : folded));
    });
    bar.append(shown);
    for (const [text, open] of [["open all", true], ["close all", false]]) {
      const button = element("button", { type: "button", textContent: text });
      button.addEventListener("click", () => folded.forEach((each) => each.hidden || (each.open = open)));
      bar.append(button);
    }
  }
  bar.append(count);
  update();
  box.prepend(bar);
}

/** Links to a folded cell unfold it, hidden by a filter or not. */
function unfold() {
  const place = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const target = place && place.closest("details");
  if (!target) return;
  target.hidden = false;
  target.open = true;
  target.scrollIntoView();
}

/** Below a figure stands what the mark under the pointer says; arrow keys go from mark to mark. */
function readable(figure) {
  const marks = [...figure.querySelectorAll(".note")];
  if (!marks.length) return;
  const said = element("output", { className: "said muted" });
  let place = -1;
  const show = (next) => {
    marks[place]?.classList.remove("at");
    place = next;
    marks[place].classList.add("at");
    said.textContent = marks[place].querySelector("title").textContent;
  };
  marks.forEach((mark, each) => {
    mark.addEventListener("pointerenter", () => show(each));
    mark.addEventListener("focusin", () => show(each));
  });
  figure.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show((place + step + marks.length) % marks.length);
  });
  said.textContent = "Point at the figure, or use the arrow keys, for values.";
  figure.after(said);
}

/** The JSON that is compressed in a text. */
function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

/** What is compressed in a large page, a list for each chunk, unpacked once. */
const chunks = [...document.querySelectorAll("script.chunk")];
const opened = new Map();
function held(number) {
  if (!opened.has(number)) opened.set(number, unpacked(chunks[number].textContent));
  return opened.get(number);
}

/** Rows of long lists take their places before anything is sorted, filtered or sought. */
async function whole() {
  for (const place of document.querySelectorAll("template.rest")) {
    place.outerHTML = (await held(place.dataset.chunk))[place.dataset.place];
  }
}

/** A browser that cannot unpack anything says what is missing, as one without scripts does. */
function lacking() {
  const note = document.querySelector("noscript.large");
  note?.insertAdjacentHTML("afterend", note.textContent);
}

/** Figures and details of a large page come out when they are about to be seen. */
function packed(boxes) {
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      held(target.dataset.chunk).then((list) => {
        target.innerHTML = list[target.dataset.place];
        target.classList.remove("packed");
        const figure = target.closest(".figure");
        if (figure) readable(figure);
      });
    }
  }, { rootMargin: "600px" });
  boxes.forEach((each) => seen.observe(each));
}

/** A page of a sweep that runs opens itself again, with the same details open, until somebody holds it. */
function following() {
  const seconds = Number(root.dataset.live);
  if (!seconds) return;
  const key = "rl-transfer-open";
  const folded = [...document.querySelectorAll("main details")];
  const name = (each) => `${each.id}|${each.querySelector("summary").textContent}`;
  try {
    const open = new Set(JSON.parse(sessionStorage.getItem(key) ?? "[]"));
    for (const each of folded) if (open.has(name(each))) each.open = true;
  } catch {
    // A browser may refuse storage to a file.
  }
  const again = () => {
    try {
      sessionStorage.setItem(key, JSON.stringify(folded.filter((each) => each.open).map(name)));
    } catch {
      // As above.
    }
    location.reload();
  };
  const button = element("button", { type: "button" });
  let timer = null;
  const toggle = () => {
    if (timer === null) timer = setTimeout(again, 1000 * seconds);
    else timer = clearTimeout(timer) ?? null;
    button.textContent = timer === null ? "Follow the sweep" : "Hold this page";
  };
  button.addEventListener("click", toggle);
  document.querySelector(".tools").append(" ", button);
  toggle();
}

function start() {
  following();
  packed(document.querySelectorAll(".packed"));
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll(".filtered").forEach(filtered);
  document.querySelectorAll(".figure").forEach(readable);
  addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => {
    if (event.target.closest?.('a[*|href^="#cell-"]')) setTimeout(unfold);
  });
  unfold();
}

theme();
cellCurves();
whole().catch(lacking).then(start);
