// Keeps the page as it is on the server: an event names what has changed, and that is asked for anew. What is shown is
// written by the server alone; nothing here makes HTML of data.
"use strict";

const NAMES_MAX = 100; // of one request for rows: its head has to fit
const PAUSE = 1000; // milliseconds between requests
const RETRY = 5000; // milliseconds before a connection that was refused is tried again
const CLOCKS = "[data-age], [data-left]";
const search = document.querySelector("#search input");
const link = document.getElementById("link");
const { page, name: own } = document.body.dataset;
const chosen = new URLSearchParams(location.search);
const picks = (chosen.get("show") ?? "all") !== "all"; // what changes may come or go
const changed = new Set();
const strangers = new Set(); // names that are not on this page
let everything = false;
let asking = false;
let timer = null;
let cut = true; // what happened since the page was written is not known

/// Something is other than it is shown.
function note(name) {
  if (page === "overview" && name !== null && !picks && !isShown(name)) {
    if (strangers.has(name)) return;
    strangers.add(name);
    name = null;
  }
  if (name === null || (page === "overview" && picks)) everything = true;
  else if (page === "overview" || name === own) changed.add(name);
  else return;
  timer ??= setTimeout(ask, PAUSE);
}

function isShown(name) {
  return document.querySelector(`tr[data-name="${CSS.escape(name)}"]`) !== null;
}

async function ask() {
  timer = null;
  if (asking) return;
  asking = true;
  const names = [...changed].slice(0, NAMES_MAX);
  const whole = everything || page !== "overview";
  everything = false;
  (whole ? [...changed] : names).forEach((name) => changed.delete(name));
  try {
    const rows = "/dashboard/rows?" + names.map((name) => "name=" + encodeURIComponent(name)).join("&");
    const answer = await fetch(whole ? location.href : rows, { signal: AbortSignal.timeout(10_000) });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"), whole);
    else if (answer.status === 401 || answer.status === 404) location.reload();
    else everything = true;
  } catch {
    everything = true;
  }
  asking = false;
  if (everything || changed.size > 0) timer ??= setTimeout(ask, PAUSE);
}

/// Puts what was asked for in the place of what is shown.
function show(fresh, whole) {
  const parts = [...fresh.querySelectorAll("[data-live][id]")];
  // Written down first, for what is put in the page leaves the one that was asked for.
  const next = new Map(parts.map((part) => [part.id, part.nextElementSibling?.id]));
  // From the end, so that each new row finds the one that it stands before.
  for (const part of parts.reverse()) {
    const old = document.getElementById(part.id);
    if (old) replace(old, part);
    else if (whole && part.matches("tbody > tr")) insert(part, next.get(part.id));
  }
  if (!whole) return;
  for (const old of document.querySelectorAll("tbody > tr[data-live]")) {
    if (!next.has(old.id)) old.remove();
  }
}

function replace(old, part) {
  if (stripped(old) === stripped(part)) return;
  const held = old.contains(document.activeElement) ? document.activeElement.id : "";
  const { scrollLeft } = old;
  part.hidden = old.hidden;
  old.replaceWith(part);
  part.scrollLeft = scrollLeft;
  begin(part);
  if (held) document.getElementById(held)?.focus({ preventScroll: true });
}

/// A row that was not there, before the one that it stands before on the server.
function insert(row, next) {
  const body = document.getElementById(row.parentElement.id);
  body?.insertBefore(row, (next && document.getElementById(next)) || null);
  begin(row);
  if (search?.value) filter();
}

/// What it shows, with the moment that each clock counts from in the place of what it says.
function stripped(node) {
  const copy = node.cloneNode(true);
  const clocks = node.querySelectorAll(CLOCKS);
  copy.querySelectorAll(CLOCKS).forEach((clock, index) => {
    const { age, left } = clock.dataset;
    const begun = (clocks[index].begun ?? performance.now()) / 1000;
    clock.textContent = Math.round((age === undefined ? begun + Number(left) : begun - Number(age)) / 3);
    clock.removeAttribute("data-age");
    clock.removeAttribute("data-left");
  });
  return copy.innerHTML;
}

/// `5m 3s`: the largest two units.
function span(seconds) {
  let rest = Math.max(0, Math.floor(seconds));
  const words = [];
  for (const [unit, size] of [["days", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) words.push(count + (unit === "days" ? (count === 1 ? "day" : "days") : unit));
  }
  return words.slice(0, 2).join(" ") || "0s";
}

function begin(root) {
  const now = performance.now();
  for (const clock of root.querySelectorAll(CLOCKS)) clock.begun = now;
}

/// Ages grow, and what is left gets less, by this page's clock alone.
function tick() {
  const now = performance.now();
  for (const clock of document.querySelectorAll(CLOCKS)) {
    const passed = (now - (clock.begun ?? now)) / 1000;
    const { age, left } = clock.dataset;
    const words = span(age === undefined ? Number(left) - passed : Number(age) + passed);
    if (clock.textContent !== words) clock.textContent = words;
  }
}

/// Typing filters what is shown; the form asks the server, which knows all.
function filter() {
  const text = search.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("tr[data-live]")) {
    row.hidden = !row.querySelector("th").textContent.toLowerCase().includes(text);
  }
}

/// Follows what changes, while the page can be seen: a browser has six connections to a server, for all its tabs.
let source = null;
function follow() {
  if (document.hidden || source) return;
  source = new EventSource("/events?snapshot=none");
  const named = (event) => note(JSON.parse(event.data).name);
  for (const event of ["job", "service", "ended"]) source.addEventListener(event, named);
  for (const event of ["deployment", "undeployed"]) {
    source.addEventListener(event, (event) => (page === "overview" ? note(null) : named(event)));
  }
  for (const event of ["leader", "readiness"]) source.addEventListener(event, () => note(null));
  source.addEventListener("gone", (event) => {
    strangers.delete(JSON.parse(event.data).name);
    note(null);
  });
  source.onopen = () => {
    link.textContent = "live";
    if (cut) note(null);
    cut = false;
  };
  source.onerror = () => {
    cut = true;
    link.textContent = "not connected, trying again";
    // A browser gives up where the answer is an error; it is tried anew then.
    if (source?.readyState === EventSource.CLOSED) setTimeout(leave, RETRY);
  };
}

/// Stops to follow; begins again, and anew, once the page is seen.
function leave() {
  source?.close();
  source = null;
  cut = true;
  follow();
}

if (page) {
  begin(document);
  setInterval(tick, 1000);
  search?.addEventListener("input", filter);
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
  follow();
}
