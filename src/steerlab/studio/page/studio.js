"use strict";
// The page of the studio. It sends ids, numbers and texts; every text it shows is set as text, never as HTML.

const $ = id => document.getElementById(id);
const SIDES = ["unsteered", "steered"];
const BUSY_PAUSE = 400; // milliseconds between two attempts while the model is busy
const TOKEN_PAUSE = 200; // milliseconds on a token before it is read
const STRIP_STEPS = 20;
const HEAVY_OPERATIONS = ["add", "add_preserving_norm"];
let shelf, running = null, written = {unsteered: [], steered: []}, strip = null, runPage = null, asked = null;

// Small pieces

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function options(select, entries, kept) {
  select.replaceChildren(...entries.map(([value, label]) => new Option(label, value)));
  if (entries.some(([value]) => value === kept)) select.value = kept;
}
const words = name => name.replaceAll("_", " ");
const visible = text => text.replaceAll("\n", "⏎").replaceAll("\t", "⇥");
const short = value => Number(value.toPrecision(3)).toString();
function fail(line) { $("error").textContent = line; $("error").hidden = !line; }
function say(line) { $("status").textContent = line; }

// Asking the server

async function answerOf(response) {
  if (response.ok) return response;
  let line = `the studio answered ${response.status}.`;
  try { line = (await response.json()).error || line; } catch { /* no JSON: the status says it */ }
  throw new Error(line);
}
async function get(path) {
  try { return await (await answerOf(await fetch(path))).json(); }
  catch (error) { throw error instanceof TypeError ? new Error("the studio does not answer: is it still running?") : error; }
}
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, {once: true});
  });
}
async function post(path, body, signal) {
  const request = {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body), signal};
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(path, request);
    if (response.status !== 409) return answerOf(response);
    const line = (await response.json()).error;
    if (attempt > 0) say(`Waiting: ${line}`); // the first refusal may be our own request that is just ending
    await pause(BUSY_PAUSE, signal);
  }
}
// Runs one job of this tab; a new one cancels the one before. Gives the last event, or null when it was cancelled.
async function job(path, body, {doing, told = () => {}}) {
  running?.abort();
  const own = running = new AbortController();
  $("cancel").disabled = false;
  fail("");
  say(`${doing} …`);
  try {
    const response = await post(path, body, own.signal);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", last = null;
    for (;;) {
      const {value, done} = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        last = JSON.parse(line);
        if (last.kind === "progress") say(`${doing}: ${last.what}, ${last.done} of ${last.total}`);
        else if (last.kind === "error") throw new Error(last.error);
        else told(last);
      }
    }
    if (last?.kind !== "done") throw new Error("the answer ended early: the studio was stopped.");
    if (running === own) say("");
    return last;
  } catch (error) {
    if (own.signal.aborted) {
      if (running === own) say("Cancelled.");
      return null;
    }
    if (running === own) say("");
    fail(error instanceof TypeError ? "the studio does not answer: is it still running?" : error.message);
    return null;
  } finally {
    if (running === own) { running = null; $("cancel").disabled = true; }
  }
}
function cancel() { running?.abort(); }

// Settings

const vectorNow = () => shelf.vectors.find(vector => vector.id === $("vector").value);
const modelNow = () => shelf.models.find(model => model.id === $("model").value);
function setPrompt(text) { // with the cursor behind it
  $("prompt").value = text;
  $("prompt").setSelectionRange(text.length, text.length);
}
function steering() {
  if (!vectorNow()) { fail("there is no vector yet: build one from pairs, or start the studio with --vector FILE."); return null; }
  const layers = [...$("layers").querySelectorAll("input:checked")].map(box => Number(box.value));
  if (!layers.length) { fail("no layer is chosen: choose at least one."); return null; }
  const coefficient = $("coefficient").valueAsNumber;
  if (Number.isNaN(coefficient)) { fail("the coefficient is not a number."); return null; }
  return {vector: vectorNow().id, layers, coefficient, operation: $("operation").value,
    positions: $("positions").value, dose: $("dose").value};
}
function reach() {
  const operation = $("operation").value, vector = vectorNow();
  if (operation === "ablate") return 1;
  if ($("dose").value === "residual_norm" && HEAVY_OPERATIONS.includes(operation)) return 2;
  const sizes = (vector?.layers || []).map(layer => {
    const residual = vector.residual_norms[layer] ?? 10;
    return operation === "clamp" || $("dose").value === "unit_norm" ? 2 * residual : 2 * residual / (vector.norms[layer] || 1);
  });
  const most = Math.max(...sizes, 1e-3), scale = 10 ** Math.floor(Math.log10(most));
  return Math.ceil(most / scale) * scale;
}
function fitSlider() {
  const most = reach(), slider = $("slider"), operation = $("operation").value;
  const kept = Math.min(most, Math.max(-most, $("coefficient").valueAsNumber || 0));
  Object.assign(slider, {min: -most, max: most, step: most / 40});
  slider.value = kept;
  $("coefficient").value = short(kept);
  $("dose").disabled = !HEAVY_OPERATIONS.includes(operation);
  if ($("dose").disabled) $("dose").value = "absolute";
  const units = {absolute: "factor on the direction", unit_norm: "L2 length added", residual_norm: "lengths of the mean residual added"};
  $("unit").textContent = {ablate: "fraction removed", clamp: "target of the projection"}[operation] ?? units[$("dose").value];
}
function showModel() {
  const facts = modelNow()?.facts;
  $("facts").textContent = facts
    ? `${facts.n_layers} layers, d_model ${facts.d_model}, context ${facts.context ?? "unknown"}, on ${facts.device}` : "";
  const fits = vector => !facts || vector.model.sha256 === facts.sha256;
  options($("vector"), shelf.vectors.map(v => [v.id, v.name + (fits(v) ? "" : ` (for ${v.model.name})`)]), $("vector").value);
}
function showVector() {
  const vector = vectorNow();
  $("save").hidden = !vector;
  if (!vector) {
    $("recipe").textContent = "None yet: build one below.";
    $("layers").replaceChildren();
    $("builder").open = true;
    return;
  }
  $("save").href = `/api/vectors/${vector.id}`;
  const recipe = vector.recipe, agree = Object.values(vector.agreement);
  const sign = agree.length ? `, sign agrees on ${Math.round(100 * Math.min(...agree))} % of them or more` : "";
  $("recipe").textContent = `${words(recipe.method)} of ${recipe.n_pairs} pairs (${recipe.source || "unknown"})${sign}`;
  $("layers").replaceChildren(...vector.layers.map(layer => {
    const box = element("input", {type: "checkbox", value: layer, checked: vector.layers.length < 3 || layer === vector.layers[Math.floor(vector.layers.length / 2)]});
    return element("label", {}, box, `${layer}`);
  }));
  if (!Object.keys(vector.residual_norms).length && $("dose").value === "residual_norm") $("dose").value = "absolute";
  fitSlider();
}
async function pickModel() {
  const model = modelNow();
  if (!model.facts) {
    const last = await job("/api/model", {model: model.id}, {doing: "Loading the model"});
    if (last) model.facts = last.facts;
  }
  showModel();
  showVector();
}

// Writing both ways

function common(a, b) { // which tokens of each belong to a longest common subsequence
  const table = Array.from({length: a.length + 1}, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i][j] = a[i].token === b[j].token ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
  const left = new Set(), right = new Set();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i].token === b[j].token) { left.add(i++); right.add(j++); }
    else if (table[i + 1][j] >= table[i][j + 1]) i++;
    else j++;
  }
  return {unsteered: left, steered: right};
}
let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; drawSides(); });
}
function drawSides() {
  const same = common(written.unsteered, written.steered);
  for (const side of SIDES)
    $(side).replaceChildren(...written[side].map((token, place) => {
      const span = element(same[side].has(place) ? "span" : "mark", {textContent: token.text});
      span.dataset.place = place;
      return span;
    }));
}
const ENDS = {eos: "ended by itself", length: "cut at the length", stop: "ended at a stop string"};
async function write() {
  const how = steering();
  if (!how) return;
  const body = {model: $("model").value, steering: how, prompt: $("prompt").value, max_new_tokens: $("tokens").valueAsNumber,
    temperature: $("temperature").valueAsNumber, seed: $("seed").valueAsNumber};
  const own = written = {unsteered: [], steered: []};
  asked = null;
  for (const side of SIDES) $(`${side}-end`).textContent = "";
  drawSides();
  const last = await job("/api/write", body, {doing: "Writing", told: event => {
    if (event.kind !== "tokens" || written !== own) return;
    for (const side of SIDES) if (event[side]) own[side].push(event[side]);
    drawSoon();
  }});
  if (written !== own) return;
  asked = body;
  if (!last) return;
  for (const side of SIDES) $(`${side}-end`).textContent = `${last[side].n_tokens} tokens, ${ENDS[last[side].ended]}`;
  say(last.unsteered.text === last.steered.text ? "Written: both are the same." : "Written: they differ where marked.");
}

// The next token

async function readNext(place) {
  const how = steering();
  if (!how) return;
  const [prompt, ids, where] = place ?? [$("prompt").value.slice(0, $("prompt").selectionStart), [], "at the cursor in the prompt"];
  if (!prompt) { fail("the cursor stands before the first character: move it behind some text."); return; }
  const last = await job("/api/next", {model: $("model").value, steering: how, prompt, written: ids}, {doing: "Reading"});
  if (!last) return;
  $("next-where").textContent = where;
  const most = Math.max(...last.tokens.flatMap(token => SIDES.map(side => token[side])));
  $("next-table").tBodies[0].replaceChildren(...last.tokens.map(token => element("tr", {},
    element("th", {}, element("code", {textContent: visible(token.text)})),
    ...SIDES.map(side => {
      const bar = element("span", {className: `bar ${side}`});
      bar.style.width = `${100 * token[side] / most}%`;
      return element("td", {}, element("span", {className: "track"}, bar), token[side] < 0.0005 ? "<0.001" : token[side].toFixed(3));
    }))));
  $("next-note").textContent = `After ${last.n_tokens} tokens. KL of steered from unsteered: ${last.kl.toFixed(3)} nats.`;
}
let later = 0;
function moveTo(side, place) {
  const spans = $(side).children;
  if (!spans.length) return;
  const at = Math.min(spans.length - 1, Math.max(0, place));
  $(side).querySelector(".here")?.classList.remove("here");
  spans[at].classList.add("here");
  spans[at].scrollIntoView({block: "nearest"});
  clearTimeout(later);
  const from = asked, before = written[side].slice(0, at).map(token => token.token);
  const where = `in place of ${side} token ${at + 1}, “${visible(written[side][at].text)}”`;
  later = setTimeout(() => { if (from && from === asked) readNext([from.prompt, before, where]); }, TOKEN_PAUSE);
}
function tokenKeys(event) {
  const side = event.currentTarget.id, here = $(side).querySelector(".here");
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  moveTo(side, here ? Number(here.dataset.place) + step : 0);
}

// The dose strip

async function readStrip() {
  const how = steering();
  if (!how) return;
  const most = Number($("slider").max), coefficients = [];
  for (let i = 0; i <= STRIP_STEPS; i++) coefficients.push(Number((most * (2 * i / STRIP_STEPS - 1)).toPrecision(6)));
  const answers = [$("answer").value, $("against").value];
  const last = await job("/api/dose", {model: $("model").value, steering: how, prompt: $("prompt").value, answers, coefficients}, {doing: "Reading all doses"});
  if (!last) return;
  strip = {...last, answers};
  drawStrip();
}
function drawStrip() {
  if (!strip) return;
  const width = 460, height = 210, left = 46, right = 12, top = 18, bottom = 34;
  const {coefficients, margins, unsteered} = strip, all = [...margins, unsteered, 0];
  const low = Math.min(...all), high = Math.max(...all), room = (high - low || 1) * 0.08;
  const x = c => left + (c - coefficients[0]) / (coefficients.at(-1) - coefficients[0] || 1) * (width - left - right);
  const y = m => top + (high + room - m) / (high - low + 2 * room || 1) * (height - top - bottom);
  const chart = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Answer margin against coefficient: from ${margins[0].toFixed(2)} at ${coefficients[0]} to ${margins.at(-1).toFixed(2)} at ${coefficients.at(-1)}, unsteered ${unsteered.toFixed(2)} nats`});
  for (const value of [low, (low + high) / 2, high]) {
    chart.append(svg("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}));
    chart.append(svg("text", {x: left - 6, y: y(value) + 4, "text-anchor": "end"}, value.toFixed(1)));
  }
  for (const value of [coefficients[0], 0, coefficients.at(-1)])
    chart.append(svg("text", {x: x(value), y: height - bottom + 16, "text-anchor": value < 0 ? "start" : value > 0 ? "end" : "middle"}, short(value)));
  chart.append(svg("text", {x: (left + width - right) / 2, y: height - 3, "text-anchor": "middle"}, "coefficient"));
  chart.append(svg("text", {x: left, y: 11}, "margin, nats"));
  if (low < 0 && high > 0) chart.append(svg("line", {class: "zero", x1: left, x2: width - right, y1: y(0), y2: y(0)}));
  chart.append(svg("line", {class: "plain", x1: left, x2: width - right, y1: y(unsteered), y2: y(unsteered)}));
  chart.append(svg("polyline", {class: "line", points: coefficients.map((c, i) => `${x(c)},${y(margins[i])}`).join(" ")}));
  coefficients.forEach((c, i) => chart.append(svg("circle", {cx: x(c), cy: y(margins[i]), r: 3})));
  const now = $("coefficient").valueAsNumber;
  if (now >= coefficients[0] && now <= coefficients.at(-1)) {
    chart.append(svg("line", {class: "now", x1: x(now), x2: x(now), y1: top, y2: height - bottom}));
    chart.append(svg("text", {class: "now-text", x: x(now), y: top - 5, "text-anchor": x(now) > width / 2 ? "end" : "start"}, short(now)));
  }
  $("chart").replaceChildren(chart);
  $("strip-note").textContent = `Log-likelihood of “${strip.answers[0]}” less that of “${strip.answers[1]}”; dashed: unsteered, ${unsteered.toFixed(2)}. ` +
    `${coefficients.length} doses in ${strip.seconds.toFixed(2)} s, way of the wave: ${strip.way}.`;
  $("strip-numbers").hidden = false;
  $("strip-numbers").querySelector("tbody").replaceChildren(...coefficients.map((c, i) =>
    element("tr", {}, element("td", {textContent: short(c)}), element("td", {textContent: margins[i].toFixed(3)}))));
}

// Building a vector, asking about a program

function addPair() {
  const [vulnerable, patched] = [$("negative").value, $("positive").value];
  if (!vulnerable.trim() || !patched.trim()) { fail("a pair needs both sides: fill in vulnerable and patched."); return; }
  $("lines").value += ($("lines").value && !$("lines").value.endsWith("\n") ? "\n" : "") + JSON.stringify({vulnerable, patched}) + "\n";
  $("negative").value = $("positive").value = "";
  fail("");
  $("negative").focus();
}
async function build() {
  const source = $("source").value, text = source ? "" : $("lines").value;
  if (!source && !text.trim()) { fail("there are no pairs: add some, or choose pairs of the list."); return; }
  const last = await job("/api/build", {model: $("model").value, name: $("name").value, pairs: source, text,
    method: $("method").value, layers: $("build-layers").value, positions: $("read-at").value}, {doing: "Building a vector"});
  if (!last) return;
  shelf.vectors.push(last.vector);
  showModel();
  $("vector").value = last.vector.id;
  showVector();
  say(`Built: ${last.vector.name}, layers ${last.vector.layers.join(", ")}.` +
    (last.n_left_out ? ` ${last.n_left_out} pairs exceed the context and were left out.` : ""));
}
async function showPrograms() {
  if (!$("ask-pairs").value) return;
  try { options($("program"), (await get(`/api/pairs/${$("ask-pairs").value}`)).programs.map(name => [name, name])); }
  catch (error) { fail(error.message); }
}
async function ask() {
  fail("");
  try {
    const body = {pairs: $("ask-pairs").value, program: $("program").value, template: $("template").value};
    const found = await (await post("/api/prompt", body, new AbortController().signal)).json();
    setPrompt(found.prompt);
    [$("answer").value, $("against").value] = found.answers;
    say("The question is in the prompt, its answers are in the dose strip.");
  } catch (error) { fail(error.message); }
}

// Runs

async function openRun() {
  if (!$("run").value) return;
  fail("");
  for (const id of ["heat", "cell", "cell-title"]) $(id).replaceChildren();
  $("verdict").textContent = $("map-note").textContent = "";
  $("map-label").hidden = true;
  $("run-status").textContent = "Reading the run …";
  const own = $("run").value;
  let found;
  try { found = await get(`/api/runs/${own}`); }
  catch (error) { $("run-status").textContent = ""; fail(error.message); return; }
  if (own !== $("run").value) return; // another run was chosen in the meantime
  runPage = found;
  $("run-status").textContent = [runPage.study, runPage.model].filter(Boolean).join(", ");
  $("verdict").textContent = runPage.verdict;
  $("map-label").hidden = !runPage.maps.length;
  if (!runPage.maps.length) { $("map-note").textContent = "This run has no steered cells."; return; }
  options($("map"), runPage.maps.map((map, place) => [String(place), map.title]));
  drawMap();
}
function shade(map, value) { // white in the middle, blue above, orange below, as far as the values reach
  const values = map.cells.map(cell => cell.value).filter(v => v !== null);
  const middle = map.share ? 0.5 : 0, most = Math.max(...values.map(v => Math.abs(v - middle)), 0.1);
  const part = (value - middle) / most, size = Math.abs(part);
  const colour = (part >= 0 ? [31, 95, 180] : [194, 98, 10]).map(channel => Math.round(255 + (channel - 255) * size * 0.9));
  const linear = colour.map(channel => channel <= 10 ? channel / 3294 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return [`rgb(${colour.join(",")})`, light > 0.179 ? "#000" : "#fff"]; // whichever has more contrast
}
function drawMap() {
  const map = runPage.maps[Number($("map").value)];
  $("map-note").textContent = `${map.measure}; n scored rows. Rows: layers; columns: coefficient. ` +
    (map.n_completions ? "Choose a cell to read its completions." : "This readout wrote no completions: a cell shows its answers.");
  const head = element("tr", {}, element("th", {textContent: "layers"}), ...map.coefficients.map(c => element("th", {scope: "col", textContent: short(c)})));
  const body = map.layers.map(layers => element("tr", {}, element("th", {scope: "row", textContent: layers}), ...map.coefficients.map(c => {
    const cell = map.cells.find(entry => entry.layers === layers && entry.coefficient === c);
    if (!cell) return element("td");
    const button = element("button", {type: "button"}, cell.value === null ? "–" : cell.value.toFixed(2), element("small", {textContent: `n ${cell.n}`}));
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `layers ${layers}, coefficient ${short(c)}: ${cell.value === null ? "unscored" : cell.value.toFixed(2)}, n ${cell.n}`);
    if (cell.value !== null) [button.style.background, button.style.color] = shade(map, cell.value);
    button.addEventListener("click", () => openCell(map, cell, button));
    return element("td", {}, button);
  })));
  $("heat").replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
  for (const id of ["cell", "cell-title"]) $(id).replaceChildren();
}
function heatKeys(event) { // arrow keys move over the cells
  const cell = event.target.closest("td");
  const [down, along] = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[event.key] ?? [];
  if (!cell || down === undefined) return;
  event.preventDefault();
  const row = $("heat").tBodies[0].rows[cell.parentElement.sectionRowIndex + down];
  row?.cells[cell.cellIndex + along]?.querySelector("button")?.focus();
}
function wordParts(text) { return (text.match(/\s+|\S+/g) ?? []).slice(0, 2000).map(part => ({token: part, text: part})); }
function marked(parts, same) { return parts.map((part, i) => element(same.has(i) || !part.text.trim() ? "span" : "mark", {textContent: part.text})); }
async function openCell(map, cell, button) {
  for (const other of $("heat").querySelectorAll("[aria-pressed=true]")) other.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", "true");
  fail("");
  let found;
  try { found = await get(`/api/runs/${$("run").value}/cell?cell=${encodeURIComponent(cell.id)}`); }
  catch (error) { fail(error.message); return; }
  if (button.getAttribute("aria-pressed") !== "true") return; // another cell was chosen in the meantime
  $("cell-title").textContent = `Layers ${cell.layers}, coefficient ${short(cell.coefficient)}: ${found.n} rows` + (found.rows.length < found.n ? `, the first ${found.rows.length} shown` : "");
  $("cell").replaceChildren(...found.rows.map(row => {
    const facts = [row.outcome, row.answer && `answer ${row.answer}`, ...Object.entries(row.facts).map(([name, word]) => `${name} ${word}`)];
    const article = element("article", {}, element("h3", {textContent: row.program}), element("p", {className: "soft", textContent: facts.filter(Boolean).join(" · ")}));
    if (row.steered || row.unsteered) {
      const before = wordParts(row.unsteered), after = wordParts(row.steered), same = common(before, after);
      article.append(element("div", {className: "sides"},
        element("div", {}, element("b", {textContent: "Unsteered"}), element("pre", {tabIndex: 0}, ...marked(before, same.unsteered))),
        element("div", {}, element("b", {textContent: "Steered"}), element("pre", {tabIndex: 0}, ...marked(after, same.steered)))));
    }
    return article;
  }));
}

// The frame

function route() {
  const page = location.hash === "#runs" ? "runs" : "steer";
  for (const id of ["steer", "runs"]) $(id).hidden = id !== page;
  for (const link of document.querySelectorAll("nav a"))
    link.hash === `#${page}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  if (page === "runs" && !runPage) openRun();
}
function moved() { drawStrip(); if ($("live").checked && written.unsteered.length) write(); }
function listen() {
  addEventListener("hashchange", route);
  addEventListener("keydown", event => {
    if (event.key === "Escape" && running) cancel();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); write(); }
  });
  $("controls").addEventListener("submit", event => event.preventDefault());
  for (const [id, work] of Object.entries({write, cancel, strip: readStrip, add: addPair, build, ask})) $(id).addEventListener("click", work);
  $("next").addEventListener("click", () => readNext());
  $("model").addEventListener("change", pickModel);
  $("vector").addEventListener("change", showVector);
  for (const id of ["operation", "dose"]) $(id).addEventListener("change", fitSlider);
  $("slider").addEventListener("input", () => { $("coefficient").value = short($("slider").valueAsNumber); drawStrip(); });
  $("slider").addEventListener("change", moved);
  $("coefficient").addEventListener("change", () => { $("slider").value = $("coefficient").value; moved(); });
  $("source").addEventListener("change", () => { $("typed").hidden = Boolean($("source").value); });
  $("ask-pairs").addEventListener("change", showPrograms);
  $("run").addEventListener("change", openRun);
  $("map").addEventListener("change", drawMap);
  $("heat").addEventListener("keydown", heatKeys);
  for (const side of SIDES) {
    $(side).addEventListener("keydown", tokenKeys);
    $(side).addEventListener("click", event => { if (event.target.dataset.place) moveTo(side, Number(event.target.dataset.place)); });
  }
}
async function begin() {
  listen();
  try { shelf = await get("/api/shelf"); } catch (error) { fail(error.message); return; }
  options($("model"), shelf.models.map(model => [model.id, model.name]));
  options($("operation"), shelf.operations.map(name => [name, words(name)]));
  options($("positions"), shelf.positions.map(name => [name, words(name)]));
  options($("read-at"), shelf.positions.map(name => [name, words(name)]), "last_prompt_token");
  options($("dose"), shelf.doses.map(name => [name, words(name)]), "residual_norm");
  options($("method"), shelf.methods.map(name => [name, words(name)]));
  const named = shelf.pairs.map(pairs => [pairs.id, `${pairs.name} (${pairs.n_pairs} pairs)`]);
  options($("source"), [...named, ["", "pairs typed here"]]);
  options($("ask-pairs"), named);
  options($("template"), shelf.templates.map(template => [template.name, words(template.name)]));
  [$("answer").value, $("against").value] = shelf.templates[0].answers;
  options($("run"), shelf.runs.map(run => [run.id, run.name]));
  if (!shelf.runs.length) $("run-status").textContent = "No runs: start the studio with --runs DIR.";
  $("typed").hidden = Boolean($("source").value);
  setPrompt($("prompt").value);
  await pickModel();
  $("coefficient").value = short(reach() / 5);
  fitSlider();
  showPrograms();
  route();
}
begin();
