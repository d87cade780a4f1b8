// What a page does where scripts run: figures that answer, legends, axes, tables that sort.
"use strict";

const page = {
  looks: JSON.parse(document.getElementById("looks").textContent),
  hidden: new Set(),
  unit: null, // what the reader chose to see regret over; null: what the study counted
  figures: [],
};

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function shorter(value) {
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)) {
    return value.toExponential(2);
  }
  return `${+value.toPrecision(3)}`;
}

// The line, dash and marker of an optimizer, as its curves have them.
function key(name) {
  const look = page.looks[name] || {colour: "var(--dot)", dash: [], number: 0};
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 30 12");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "key");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", "M0,6H30");
  line.setAttribute("stroke-dasharray", look.dash.map(x => 1.8 * x).join(" "));
  const dot = document.createElementNS(space, "path");
  dot.setAttribute("d", OUTLINES[look.number % OUTLINES.length]);
  dot.setAttribute("transform", "translate(15 6) scale(4)");
  dot.setAttribute("fill", look.colour);
  for (const part of [line, dot]) {
    part.setAttribute("stroke", look.colour);
    part.setAttribute("vector-effect", "non-scaling-stroke");
    part.setAttribute("stroke-width", look.mine && part === line ? "3.5" : "1.8");
    svg.append(part);
  }
  return svg;
}

const OUTLINES = ["M-1,0A1,1 0 1 1 1,0A1,1 0 1 1 -1,0Z", "M-.9,-.9H.9V.9H-.9Z",
  "M0,-1L1,.8H-1Z", "M0,-1.2L.8,0L0,1.2L-.8,0Z",
  "M-1,-.4H-.4V-1H.4V-.4H1V.4H.4V1H-.4V.4H-1Z", "M0,1L1,-.8H-1Z", "M1,0L-.8,1V-1Z",
  "M-1,0L.8,1V-1Z", ...SHAPES.slice(8)];

class Figure {
  constructor(node) {
    this.node = node;
    this.data = JSON.parse(node.querySelector("script").textContent);
    this.still = node.querySelector(".still");
    this.view = null;
    this.point = null;
    this.drawing = 0;
  }

  get names() {
    const listed = this.data.series || this.data.rows || [];
    return listed.map(one => one.name);
  }

  get axis() {
    const found = (this.data.axes || []).findIndex(axis => axis.label === page.unit);
    return Math.max(0, found);
  }

  start() {
    if (this.live) return;
    this.live = element("div", {class: "live"});
    this.plot = element("div", {class: "plot"});
    this.still.replaceWith(this.live);
    if (this.data.caption) this.node.querySelector("figcaption").textContent = this.data.caption;
    this.live.append(...this.controls(), this.plot);
    if (this.data.kind === "curves") this.reader();
    this.draw();
    let before = this.live.clientWidth;
    new ResizeObserver(() => {
      const now = this.live.clientWidth;
      if (now && Math.abs(now - before) > 1) {
        before = now;
        this.draw();
      }
    }).observe(this.live);
  }

  controls() {
    const made = [];
    if (this.names.length > 1) {
      const list = element("ul", {class: "legend", "aria-label": "Shown in all figures"});
      for (const name of this.names) {
        const mine = page.looks[name] && page.looks[name].mine ? " ★" : "";
        const button = element("button", {type: "button", "data-name": name,
          "aria-pressed": `${!page.hidden.has(name)}`}, key(name), name + mine);
        button.addEventListener("click", () => toggle(name));
        list.append(element("li", {}, button));
      }
      const all = element("button", {type: "button", class: "all"}, "show all");
      all.addEventListener("click", () => {
        page.hidden.clear();
        redraw();
      });
      list.append(element("li", {}, all));
      made.push(list);
    }
    if (this.data.axes && this.data.axes.length > 1) {
      const set = element("fieldset", {class: "axes"}, element("legend", {}, "Over"));
      this.data.axes.forEach((axis, place) => {
        const input = element("input", {type: "radio", name: `axis-${this.node.id}`,
          value: axis.label});
        input.checked = place === this.axis;
        input.addEventListener("change", () => {
          page.unit = axis.label;
          redraw();
        });
        set.append(element("label", {}, input, ` ${axis.label}`));
      });
      made.push(set);
    }
    return made;
  }

  // A slider, and the pointer over the plot: what every curve is worth at one point.
  reader() {
    this.slider = element("input", {type: "range", min: "0", step: "1", "aria-label":
      `Read the values of: ${this.data.title}`});
    this.table = element("div", {class: "values", hidden: ""});
    this.live.append(element("div", {class: "reader"}, element("span", {"aria-hidden": "true"},
      "values at"), this.slider), this.table);
    if (!this.data.straight) {
      this.note = element("p", {class: "quiet note"},
        `Bands are drawn where ${MOST_BANDS} or fewer are shown.`);
      this.plot.after(this.note);
    }
    this.slider.addEventListener("input", () => this.read(+this.slider.value));
    this.slider.addEventListener("blur", () => this.read(null));
    this.plot.addEventListener("pointermove", event => {
      const svg = this.plot.querySelector("svg");
      if (!svg || !this.view) return;
      const box = svg.getBoundingClientRect();
      const ratio = svg.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * ratio - this.view.origin()[0];
      const grid = this.data.axes[this.axis].grid;
      const value = this.view.scale("x").invert(x);
      let point = 0;
      grid.forEach((each, k) => {
        if (Math.abs(each - value) < Math.abs(grid[point] - value)) point = k;
      });
      this.read(point);
    });
    this.plot.addEventListener("pointerleave", () => this.read(null));
  }

  read(point) {
    const axis = this.data.axes[this.axis];
    this.point = point;
    this.view.signal("reading", point === null ? null : axis.grid[point]).runAsync();
    this.table.hidden = point === null;
    if (point === null) return;
    this.slider.value = `${point}`;
    const rows = this.data.series.filter(one => !page.hidden.has(one.name))
      .map(one => [one.name, valueAt(one, this.axis, point)]).filter(row => row[1])
      .sort((a, b) => a[1][0] - b[1][0]);
    const where = `${shorter(axis.grid[point])} ${axis.label}`;
    this.table.replaceChildren(element("strong", {}, where), ...rows.map(([name, found]) =>
      element("div", {}, key(name), element("span", {}, name), element("b", {},
        shorter(found[0])), element("small", {}, found[1] === found[2] ? "" :
        `${shorter(found[1])} to ${shorter(found[2])}`))));
    this.slider.setAttribute("aria-valuetext", `${where}: ` + rows.slice(0, 3)
      .map(([name, found]) => `${name} ${shorter(found[0])}`).join(", "));
  }

  async draw() {
    this.stale = false;
    this.drawing += 1;
    const width = Math.max(200, this.live.clientWidth);
    const build = {curves, ranks, fronts, scatter}[this.data.kind];
    if (this.slider) {
      this.slider.max = `${this.data.axes[this.axis].grid.length - 1}`;
      this.table.hidden = true;
    }
    if (this.note) {
      this.note.hidden = this.names.filter(name => !page.hidden.has(name)).length <= MOST_BANDS;
    }
    for (const button of this.live.querySelectorAll(".legend [data-name]")) {
      button.setAttribute("aria-pressed", `${!page.hidden.has(button.dataset.name)}`);
    }
    for (const input of this.live.querySelectorAll(".axes input")) {
      input.checked = input.value === this.data.axes[this.axis].label;
    }
    if (this.data.kind === "landscape") {
      const gap = 16, wide = Math.max(1, Math.floor((width + gap) / 276));
      const columns = Math.min(wide, this.data.panels.length);
      const each = (width - gap * (columns - 1)) / columns;
      this.plot.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
      this.plot.classList.add("panels");
      this.plot.replaceChildren(...this.data.panels.map(() => element("div", {})));
      await Promise.all(this.data.panels.map((_, place) =>
        embed(this.plot.children[place], panel(this.data, place, each))));
    } else {
      const holder = element("div", {});
      this.plot.replaceChildren(holder);
      const view = await embed(holder, build(this.data, width, page.looks, page.hidden, this.axis));
      if (this.plot.contains(holder)) {
        if (this.view) this.view.finalize();
        this.view = view;
      } else view.finalize(); // it was drawn again meanwhile
    }
    this.drawing -= 1;
    this.node.dataset.drawn = `${+(this.node.dataset.drawn || 0) + 1}`;
  }
}

async function embed(node, specification) {
  const made = await vegaEmbed(node, specification, {ast: true, renderer: "svg",
    actions: false, defaultStyle: false, hover: false, tooltip: hint});
  const svg = node.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", specification.description);
  return made.view;
}

const bubble = element("div", {class: "hint", hidden: "", role: "status"});
function hint(handler, event, item, value) {
  bubble.hidden = !value;
  if (!value) return;
  const {title, ...rest} = value;
  bubble.replaceChildren(element("strong", {}, `${title}`), ...Object.entries(rest)
    .map(([name, each]) => element("div", {}, `${name}: ${each}`)));
  const room = document.documentElement.clientWidth - bubble.offsetWidth - 8;
  bubble.style.left = `${Math.max(4, Math.min(room, event.clientX + 14)) + window.scrollX}px`;
  bubble.style.top = `${event.clientY + 16 + window.scrollY}px`;
}

function toggle(name) {
  if (!page.hidden.delete(name)) page.hidden.add(name);
  redraw();
}

// What the reader cannot see is drawn again when they come near it.
function redraw() {
  for (const figure of page.figures) {
    if (figure.live && figure.seen) figure.draw();
    else figure.stale = true;
  }
}

// The first number of a cell, or its text: what a column is sorted by.
function worth(cell) {
  const text = cell.textContent.trim();
  const number = text.match(/^[<>]?\s*[-−+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?/i);
  return number && cell.matches("td") ? parseFloat(number[0].replace(/[<>,\s]/g, "")
    .replace("−", "-")) : text.toLowerCase();
}

function sort(table, column, button) {
  const heads = [...table.tHead.rows[0].cells];
  const down = heads[column].getAttribute("aria-sort") === "ascending";
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row, place) => (
    {row, place, value: worth(row.cells[column])}));
  const numeric = value => typeof value === "number";
  rows.sort((a, b) => {
    if (numeric(a.value) !== numeric(b.value)) return numeric(a.value) ? -1 : 1;
    const less = a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
    return (down ? -less : less) || a.place - b.place;
  });
  table.tBodies[0].append(...rows.map(each => each.row));
}

for (const table of document.querySelectorAll("table.sorts")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = element("button", {type: "button", class: "sort"});
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, column));
    head.append(button);
  });
}

if (document.documentElement.clientWidth < 1000) {
  document.querySelector(".contents details").open = false;
}
document.body.append(bubble);
page.figures = [...document.querySelectorAll("figure.chart")].map(node => new Figure(node));
// A figure is drawn when it comes near the window: a page may hold a hundred.
const near = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const figure = page.figures.find(each => each.node === entry.target);
    figure.seen = entry.isIntersecting;
    if (figure.seen && !figure.live) figure.start();
    else if (figure.seen && figure.stale) figure.draw();
  }
}, {rootMargin: "600px"});
for (const figure of page.figures) near.observe(figure.node);
