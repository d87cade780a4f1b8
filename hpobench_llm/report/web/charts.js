// Vega specifications of the page's figures: one function for each `kind` that charts.py writes.
"use strict";

const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down",
  "triangle-right", "triangle-left", "M-1,-1L1,1M-1,1L1,-1", "M0,-1.2L0,1.2M-1.2,0L1.2,0",
  "M-1.1,-0.45H1.1V0.45H-1.1Z", "M0,-1.2L0.4,-0.4L1.2,0L0.4,0.4L0,1.2L-0.4,0.4L-1.2,0L-0.4,-0.4Z"];
const MARKERS = 6; // of a curve
const MOST_BANDS = 6; // shown at a time: more would hide each other
const NUMBER = "datum.value === 0 ? '0' : abs(datum.value) < 1e-3 || abs(datum.value) >= 1e5" +
  " ? format(datum.value, '.2~e') : format(datum.value, '.4~g')";

function frame(title, width, height, more) {
  const text = {labelColor: "var(--ink)", titleColor: "var(--ink)", labelFontSize: 12,
    titleFontSize: 12, titleFontWeight: "normal", gridColor: "var(--line)",
    domainColor: "var(--quiet)", tickColor: "var(--quiet)", labelOverlap: "greedy",
    labelLimit: 0, titleLimit: 0, titlePadding: 8};
  return {$schema: "https://vega.github.io/schema/vega/v6.json", description: title, width,
    height, autosize: {type: "fit", contains: "padding"}, padding: 2, background: null,
    config: {axis: text, text: {fontSize: 12, fill: "var(--ink)"}}, ...more};
}

// A title over the plot or under it, in as many lines as it takes.
function lines(text, width) {
  const most = Math.max(12, Math.floor(width / 6.3));
  const found = [""];
  for (const word of text.split(" ")) {
    const last = found[found.length - 1];
    if (last && last.length + word.length >= most) found.push(word);
    else found[found.length - 1] = last ? `${last} ${word}` : word;
  }
  return found;
}

function above(text, width) {
  return {text: lines(text, width), anchor: "start", frame: "bounds", fontSize: 12,
    fontWeight: "normal", color: "var(--ink)", offset: 8, limit: 0};
}

// Few readable numbers between two ends of a logarithmic axis.
function logTicks(low, high) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let decade = first; decade <= last; decade += 1) {
      for (const step of steps) {
        const tick = step * 10 ** decade;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(+tick.toPrecision(6));
      }
    }
    if (ticks.length <= 7) return ticks.length < 2 ? undefined : ticks;
  }
  return undefined;
}

// Text that can be read over dots: first its edge in the colour of the page.
function readable(encode) {
  return [{stroke: {value: "var(--page)"}, strokeWidth: {value: 4}}, {}].map(more => (
    {type: "text", aria: false, ...encode.mark, encode: {update: {...encode.update, ...more}}}));
}

function lookScales(names, looks) {
  const of = name => looks[name] || {colour: "var(--dot)", dash: [], number: 0};
  return [
    {name: "colour", type: "ordinal", domain: names, range: names.map(n => of(n).colour)},
    {name: "dash", type: "ordinal", domain: names,
      range: names.map(n => (of(n).dash.length ? of(n).dash.map(x => 1.8 * x) : [1, 0]))},
    {name: "shape", type: "ordinal", domain: names,
      range: names.map(n => SHAPES[of(n).number % SHAPES.length])},
    {name: "weight", type: "ordinal", domain: names,
      range: names.map(n => (of(n).mine ? 3.5 : 1.8))},
  ];
}

// The values of a curve at each point of its grid that `steps` names, and at the last.
function rowsOf(series, axis, grid, y) {
  const up = value => (y.floor && value <= 0 ? y.floor : value);
  const rows = series.over[axis].map(([point, value, low, high]) => (
    {name: series.name, x: grid[point], y: up(value), low: up(low), high: up(high)}));
  return rows.concat([{...rows[rows.length - 1], x: grid[grid.length - 1]}]);
}

function valueAt(series, axis, point) {
  const steps = series.over[axis].filter(step => step[0] <= point);
  return steps.length ? steps[steps.length - 1].slice(1) : null;
}

function curves(data, width, looks, hidden, axis) {
  const shown = data.series.filter(one => !hidden.has(one.name));
  const names = data.series.map(one => one.name);
  const {grid, label, y} = data.axes[axis];
  const rows = shown.flatMap(one => rowsOf(one, axis, grid, y));
  const up = value => (y.floor && value <= 0 ? y.floor : value);
  const dots = shown.flatMap(one => {
    const shift = (names.indexOf(one.name) + 0.5) / names.length / MARKERS;
    const places = [...Array(MARKERS).keys()].map(k => (
      Math.min(grid.length - 1, Math.floor((k / MARKERS + shift) * grid.length))));
    return [...new Set(places)].map(point => {
      const found = valueAt(one, axis, point);
      return found && {name: one.name, x: grid[point], y: up(found[0])};
    }).filter(Boolean);
  });
  const step = data.straight ? "linear" : "step-after";
  const X = {scale: "x", field: "x"}, Y = {scale: "y", field: "y"};
  const colour = {scale: "colour", field: "name"};
  const marks = [{type: "group", clip: true,
    from: {facet: {name: "one", data: "rows", groupby: "name"}},
    encode: {update: {width: {signal: "width"}, height: {signal: "height"}}},
    marks: [
      {type: "area", aria: false, from: {data: "one"}, encode: {update: {x: X,
        y: {scale: "y", field: "low"}, y2: {scale: "y", field: "high"}, fill: colour,
        fillOpacity: {value: shown.length > MOST_BANDS ? 0 : 0.13}, interpolate: {value: step}}}},
      {type: "line", aria: false, from: {data: "one"}, encode: {update: {x: X, y: Y,
        stroke: colour, strokeDash: {scale: "dash", field: "name"},
        strokeWidth: {scale: "weight", field: "name"}, interpolate: {value: step}}}}]},
  {type: "symbol", aria: false, from: {data: "dots"}, encode: {update: {x: X, y: Y,
    shape: {scale: "shape", field: "name"}, size: {value: 52}, fill: colour, stroke: colour,
    strokeWidth: {value: 1.6}}}}];
  if (data.rule) {
    marks.push({type: "rule", aria: false, encode: {update: {x: {value: 0},
      x2: {signal: "width"}, y: {scale: "y", value: data.rule.y}, stroke: {value: "var(--ink)"},
      strokeDash: {value: [2, 3]}}}});
    marks.push(...readable({update: {x: {value: 4}, dy: {value: -5},
      y: {scale: "y", value: data.rule.y}, text: {value: data.rule.label}}}));
  }
  if (y.floor) {
    marks.push({type: "rule", aria: false, encode: {update: {x: {value: 0},
      x2: {signal: "width"}, y: {scale: "y", value: y.floor},
      stroke: {value: "var(--quiet)"}}}});
    marks.push({type: "text", aria: false, encode: {update: {x: {value: -8},
      y: {scale: "y", value: y.floor}, text: {value: "0"}, align: {value: "right"},
      baseline: {value: "middle"}}}});
  }
  marks.push({type: "rule", aria: false, encode: {update: {y: {value: 0},
    y2: {signal: "height"}, x: {signal: "reading === null ? -10 : scale('x', reading)"},
    stroke: {value: "var(--quiet)"},
    opacity: {signal: "reading === null ? 0 : 1"}}}});
  const ticks = y.log ? logTicks(y.lowest, y.domain[1]) : undefined;
  return frame(data.title, width, Math.max(240, Math.min(400, width * 0.46)), {
    title: above(data.y.label, width),
    signals: [{name: "reading", value: null}],
    data: [{name: "rows", values: rows}, {name: "dots", values: dots}],
    scales: [
      {name: "x", type: "linear", zero: false, nice: false, range: "width",
        domain: grid.length > 1 ? [grid[0], grid[grid.length - 1]] : [grid[0], grid[0] + 1]},
      {name: "y", type: y.log ? "log" : "linear", zero: false, nice: false,
        domain: y.domain, range: "height"},
      ...lookScales(names, looks)],
    axes: [
      {scale: "x", orient: "bottom", title: lines(label, width), tickCount: Math.max(3, width / 90),
        encode: {labels: {update: {text: {signal: NUMBER}}}}},
      {scale: "y", orient: "left", grid: true, tickCount: 6, values: ticks,
        encode: {labels: {update: {text: {signal: NUMBER}}}}}],
    marks});
}

function ranks(data, width, looks, hidden) {
  const rows = data.rows.filter(row => !hidden.has(row.name));
  const names = rows.map(row => row.name);
  const all = data.rows.map(row => row.name);
  const bars = data.groups.map(group => group.filter(name => names.includes(name)))
    .filter(group => group.length > 1)
    .map((group, place) => ({first: group[0], last: group[group.length - 1], place}));
  const ends = data.rows.flatMap(row => row.value);
  const step = 26, bar = 10;
  const X = field => ({scale: "x", field});
  return frame(data.title, width, step * names.length + 44, {
    data: [
      {name: "rows", values: rows.map(row => ({name: row.name, value: row.value[0],
        low: row.value[1], high: row.value[2]}))},
      {name: "bars", values: bars}],
    scales: [
      {name: "x", type: "linear", zero: false, range: [0, {signal: `width - ${bar * bars.length + 8}`}],
        domain: [Math.min(0.8, ...ends), Math.max(all.length + 0.2, ...ends)]},
      {name: "y", type: "band", domain: names, range: "height"},
      ...lookScales(all, looks)],
    axes: [
      {scale: "x", orient: "bottom", title: data.label, grid: true, tickMinStep: 1,
        tickCount: Math.min(all.length, width / 60)},
      {scale: "y", orient: "left", domain: false, ticks: false, labelPadding: 8,
        labelOverlap: false, encode: {labels: {update: {fontWeight: {value: "bold"}}}}}],
    marks: [
      {type: "rule", aria: false, from: {data: "rows"}, encode: {update: {x: X("low"),
        x2: X("high"), y: {scale: "y", field: "name", band: 0.5},
        stroke: {scale: "colour", field: "name"}, strokeWidth: {scale: "weight", field: "name"}}}},
      {type: "symbol", aria: false, from: {data: "rows"}, encode: {update: {x: X("value"),
        y: {scale: "y", field: "name", band: 0.5}, size: {value: 90},
        shape: {scale: "shape", field: "name"}, fill: {scale: "colour", field: "name"},
        stroke: {scale: "colour", field: "name"}, strokeWidth: {value: 2},
        tooltip: {signal: "{title: datum.name, 'mean rank': format(datum.value, '.2f')," +
          " 'interval': format(datum.low, '.2f') + ' to ' + format(datum.high, '.2f')}"}}}},
      {type: "rule", aria: false, from: {data: "bars"}, encode: {update: {
        x: {signal: `width - ${bar} * (${bars.length} - datum.place) + 4`},
        y: {scale: "y", field: "first", band: 0.2}, y2: {scale: "y", field: "last", band: 0.8},
        stroke: {value: "var(--ink)"}, strokeWidth: {value: 4},
        tooltip: {signal: "{title: 'not told apart', from: datum.first, to: datum.last}"}}}}]});
}

function fronts(data, width, looks, hidden) {
  const shown = data.series.filter(one => !hidden.has(one.name));
  const names = data.series.map(one => one.name);
  const rows = shown.flatMap(one => one.path.map(([x, y]) => ({name: one.name, x, y})));
  const X = {scale: "x", field: "x"}, Y = {scale: "y", field: "y"};
  const tip = {signal: `{title: datum.name || 'Pareto front', x: format(datum.x, '.4~g'),` +
    ` y: format(datum.y, '.4~g')}`};
  const colour = {scale: "colour", field: "name"};
  const inside = data.front.slice(1, -1).map(([x, y]) => ({x, y}));
  const baselines = data.baselines.flatMap(({name, shape, points}) =>
    points.map(([x, y]) => ({name, shape, x, y})));
  return frame(data.title, width, Math.max(260, Math.min(430, width * 0.5)), {
    title: above(data.y.label, width),
    data: [{name: "rows", values: rows}, {name: "front", values: inside},
      {name: "edge", values: data.front.map(([x, y]) => ({x, y}))},
      {name: "baselines", values: baselines}],
    scales: [
      {name: "x", type: "linear", zero: false, nice: false, domain: data.x.domain, range: "width"},
      {name: "y", type: "linear", zero: false, nice: false, domain: data.y.domain,
        range: "height"},
      ...lookScales(names, looks)],
    axes: [{scale: "x", orient: "bottom", title: lines(data.x.label, width), grid: true,
      tickCount: Math.max(3, width / 90)},
    {scale: "y", orient: "left", grid: true, tickCount: 6}],
    marks: [
      {type: "line", aria: false, from: {data: "edge"}, clip: true, encode: {update: {x: X, y: Y,
        stroke: {value: "var(--ink)"}, interpolate: {value: "step-after"}}}},
      {type: "symbol", aria: false, from: {data: "front"}, encode: {update: {x: X, y: Y,
        size: {value: 34}, fill: {value: "var(--ink)"}, tooltip: tip}}},
      {type: "symbol", aria: false, from: {data: "baselines"}, encode: {update: {x: X, y: Y,
        size: {value: 60}, shape: {field: "shape"}, fill: {value: "transparent"},
        stroke: {value: "var(--ink)"}, strokeWidth: {value: 1.2}, tooltip: tip}}},
      {type: "group", clip: true, from: {facet: {name: "one", data: "rows", groupby: "name"}},
        encode: {update: {width: {signal: "width"}, height: {signal: "height"}}},
        marks: [
          {type: "line", aria: false, from: {data: "one"}, encode: {update: {x: X, y: Y,
            stroke: colour, strokeDash: {scale: "dash", field: "name"},
            strokeWidth: {scale: "weight", field: "name"},
            interpolate: {value: "step-after"}}}},
          {type: "symbol", aria: false, from: {data: "one"}, encode: {update: {x: X, y: Y,
            size: {value: 40}, shape: {scale: "shape", field: "name"}, fill: colour,
            stroke: colour, tooltip: tip}}}]}]});
}

function scatter(data, width) {
  const [xs, ys] = data.points;
  const colours = data.colour ? data.colour.values : [];
  const rows = xs.map((x, k) => ({x, y: ys[k], c: colours[k]}));
  const X = {scale: "x", field: "x"}, Y = {scale: "y", field: "y"};
  const scales = [
    {name: "x", type: "linear", zero: false, nice: true, range: "width",
      domain: {fields: [{data: "rows", field: "x"}, {data: "marks", field: "x"}]}},
    {name: "y", type: "linear", zero: false, nice: true, range: "height",
      domain: {fields: [{data: "rows", field: "y"}, {data: "marks", field: "y"}]}}];
  const legends = [];
  let fill = {value: "var(--dot)"};
  if (data.colour) {
    scales.push({name: "c", type: "log", domain: [Math.min(...colours), Math.max(...colours)],
      range: {scheme: "plasma", extent: [0.2, 0.85]}});
    legends.push({fill: "c", title: data.colour.label, orient: "top", direction: "horizontal",
      labelColor: "var(--ink)", titleColor: "var(--ink)", labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: "normal", gradientLength: Math.min(240, width - 60), format: ".0e",
      tickCount: 4});
    fill = {scale: "c", field: "c"};
  }
  const c = data.colour ? `, '${data.colour.label}': format(datum.c, '.3~g')` : "";
  const tip = {signal: `{title: datum.label || 'configuration', x: format(datum.x, '.4~g'),` +
    ` y: format(datum.y, '.4~g')${c}}`};
  const own = {signal: tip.signal.replace(c, "")};
  return frame(data.title, width, Math.max(280, Math.min(430, width * 0.5)), {
    title: above(data.y.label, width),
    data: [{name: "rows", values: rows}, {name: "marks", values: data.marks}],
    scales, legends,
    axes: [{scale: "x", orient: "bottom", title: lines(data.x.label, width), grid: true,
      tickCount: Math.max(3, width / 90)},
    {scale: "y", orient: "left", grid: true, tickCount: 6}],
    marks: [
      {type: "symbol", aria: false, from: {data: "rows"}, encode: {update: {x: X, y: Y, fill,
        size: {value: 26}, stroke: {value: "var(--quiet)"}, strokeWidth: {value: 0.4},
        tooltip: tip}}},
      {type: "symbol", aria: false, from: {data: "marks"}, encode: {update: {x: X, y: Y,
        size: {value: 150}, fill: {value: "transparent"}, stroke: {value: "var(--ink)"},
        strokeWidth: {value: 1.8}, tooltip: own}}},
      ...readable({mark: {from: {data: "marks"}}, update: {x: X, y: Y,
        text: {field: "label"}, dy: {value: -12},
        align: {signal: "scale('x', datum.x) > width / 2 ? 'right' : 'left'"}}})]});
}

function panel(data, place, width) {
  const one = data.panels[place];
  const rows = one.levels.map((level, k) => ({level: `${k}`, text: level,
    missing: one.missing[k], best: one.lines.best[k], middle: one.lines.median[k],
    low: one.lines["better quarter"][k], high: one.lines["worse quarter"][k]}));
  const found = rows.filter(row => row.best !== null);
  const X = {scale: "x", field: "level", band: 0.5};
  const Y = field => ({scale: "y", field});
  const tip = {signal: `{title: datum.text, best: format(datum.best, '.4~g'),` +
    ` median: format(datum.middle, '.4~g'), 'middle half': format(datum.low, '.4~g') + ' to '` +
    ` + format(datum.high, '.4~g'), 'without a value': datum.missing}`};
  return frame(`${data.title}: ${one.label}`, width, 220, {
    title: above(data.y.label, width),
    data: [{name: "rows", values: rows}, {name: "found", values: found}],
    scales: [
      {name: "x", type: "band", domain: rows.map(row => row.level), range: "width", padding: 0.15},
      {name: "text", type: "ordinal", domain: rows.map(row => row.level), range: one.levels},
      {name: "y", type: "linear", zero: false, nice: false, domain: data.y.domain,
        range: "height"}],
    axes: [{scale: "x", orient: "bottom", title: one.label, labelOverlap: "parity",
      labelSeparation: 2, encode: {labels: {update: {text: {signal: "scale('text', datum.value)"}}}}},
    {scale: "y", orient: "left", grid: true, tickCount: 5}],
    marks: [
      {type: "rect", clip: true, aria: false, from: {data: "found"}, encode: {update: {
        x: {scale: "x", field: "level"}, width: {scale: "x", band: 1}, y: Y("low"), y2: Y("high"),
        fill: {value: "var(--dot)"}, fillOpacity: {value: 0.22}, tooltip: tip}}},
      {type: "rule", clip: true, aria: false, from: {data: "found"}, encode: {update: {
        x: {scale: "x", field: "level"}, x2: {scale: "x", field: "level", band: 1},
        y: Y("middle"), stroke: {value: "var(--quiet)"}, strokeWidth: {value: 2}}}},
      {type: "line", clip: true, aria: false, from: {data: "found"}, encode: {update: {x: X,
        y: Y("best"), stroke: {value: "var(--ink)"}, strokeWidth: {value: 1.5}}}},
      {type: "symbol", clip: true, aria: false, from: {data: "found"}, encode: {update: {x: X,
        y: Y("best"), size: {value: 36}, fill: {value: "var(--ink)"}, tooltip: tip}}}]});
}
