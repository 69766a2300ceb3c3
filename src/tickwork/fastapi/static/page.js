// What the pages share: asking the server, one row an item, and times in words.
//
// The rule: data becomes text and attributes, never markup; and a row stays the same element for as long as its item is
// shown, so that focus, selection and what was opened survive every update.

const POLL = 1_000;
const LONGEST_WAIT = 30_000;
const TIMEOUT = 10_000;
const NOTICE = 6_000;

export const element = (id) => document.getElementById(id);
let skew = 0; // the server's clock less ours, in milliseconds

// the server

// Asks `question(signal)` and shows its answer: once a second, less often while that fails, and not while nobody looks.
// What it returns asks at once.
export function keepAsking(question, show, showTrouble, { every = POLL } = {}) {
  let timer = null;
  let controller = null;
  let failures = 0;

  async function poll() {
    clearTimeout(timer);
    controller?.abort();
    const own = (controller = new AbortController());
    try {
      const asked = Date.now();
      const answer = await question(own.signal);
      skew = Date.parse(answer.now) - (asked + Date.now()) / 2;
      failures = 0;
      document.body.classList.remove("stale");
      show(answer);
    } catch (error) {
      if (own.signal.aborted) return; // a newer question has taken its place
      failures += 1;
      showTrouble(error);
    }
    const wait = Math.min(every * 2 ** failures, LONGEST_WAIT);
    if (!document.hidden) timer = setTimeout(poll, wait);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) poll();
  });
  element("retry").addEventListener("click", poll);
  return poll;
}

// A `body` that is text is JSON already.
export async function ask(path, { method = "GET", body, signal, patience = TIMEOUT } = {}) {
  const signals = [AbortSignal.timeout(patience), ...(signal ? [signal] : [])];
  const response = await fetch(new URL(path, document.baseURI), {
    method,
    signal: AbortSignal.any(signals),
    headers: method === "GET" ? {} : { "Content-Type": "application/json" },
    body: typeof body === "string" ? body : body && JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (response.status === 403) rights = null;
  if (!response.ok) throw new Refusal(response.status, answer?.detail);
  return answer;
}

export class Refusal extends Error {
  constructor(status, detail) {
    const told = Array.isArray(detail) ? detail.map(({ msg }) => msg).join("; ") : detail;
    super(typeof told === "string" ? told : `the server answered ${status}`);
    this.status = status;
  }
}

// the page as a whole

export function showTrouble(error, shown) {
  document.body.classList.add("stale");
  const known = shown ? `This is what was known at ${clockTime(shown.now, false)}. ` : "";
  if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
    setHealth("bad", "not allowed");
    setBanner("bad", "The server does not let this page in.", `${known}Sign in again and reload. (${error.message})`);
  } else if (error instanceof Refusal) {
    setHealth("bad", "in trouble");
    setBanner("bad", "The server cannot answer.", `${known}${error.message}`);
  } else {
    setHealth("bad", "out of reach");
    setBanner("bad", "The server cannot be reached.", `${known}Trying again by itself.`);
  }
}

export function setHealth(kind, text) {
  element("health").dataset.health = kind;
  put(element("health-text"), text);
}

export function setBanner(kind, title = "", text = "") {
  const banner = element("banner");
  banner.hidden = kind === null;
  banner.dataset.kind = kind ?? "";
  put(element("banner-title"), title);
  put(element("banner-text"), text);
}

let rights = null; // what the app lets whoever looks do

// Asked once, and again after a refusal: buttons that change something are for those who may press them.
export async function askForRights(signal) {
  rights ??= await ask("rights", { signal });
  document.body.classList.toggle("read-only", !rights.change);
}

export function notify(text) {
  put(element("notice"), text);
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => put(element("notice"), ""), NOTICE);
}

// Asks in a dialog before `act(form)` is done. It stays open until that worked, with what was typed, and says why it did not.
// What `act` returns, or null if nobody wanted it.
export function confirm(id, what, act) {
  const dialog = element(id);
  const form = dialog.querySelector("form");
  const trouble = dialog.querySelector("[data-trouble]");
  put(dialog.querySelector("[data-what]"), what);
  put(trouble, "");
  form.reset();
  dialog.showModal();
  return new Promise((resolve) => {
    let done = null;
    form.onsubmit = (event) => {
      event.preventDefault();
      once(event.submitter ?? form.querySelector('[type="submit"]'), async () => {
        put(trouble, "");
        try {
          done = await act(new FormData(form));
          dialog.close();
        } catch (error) {
          put(trouble, error.message);
        }
      });
    };
    dialog.addEventListener("close", () => resolve(done), { once: true });
  });
}

for (const button of document.querySelectorAll("[data-cancel]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

// A button that cannot be pressed again before what it began is done; not `disabled`, which would lose the focus.
export async function once(button, act) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await act();
  } catch (error) {
    notify(`That did not work: ${error.message}`);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// rows

// Give `list` one row for each item, in their order, touching only what differs.
export function arrange(list, template, items, update) {
  const rows = (list.rows ??= new Map());
  const first = rows.size === 0;
  const wanted = new Set(items.map((item) => item.id));
  for (const [id, row] of rows) {
    if (!wanted.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  let place = list.firstElementChild;
  for (const item of items) {
    let row = rows.get(item.id);
    if (!row) {
      row = grow(template);
      row.classList.toggle("fresh", !first);
      rows.set(item.id, row);
    }
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
    row.item = item;
    update(row, item);
  }
}

export function grow(template) {
  const row = element(template).content.firstElementChild.cloneNode(true);
  row.fields = Object.fromEntries([...row.querySelectorAll("[data-field]")].map((field) => [field.dataset.field, field]));
  return row;
}

// A list of what is known; what is null is left out.
export function showFacts(list, facts) {
  const known = Object.entries(facts).filter(([, fact]) => fact !== null && fact !== "");
  if (list.children.length !== known.length) {
    list.replaceChildren(...known.map(() => {
      const fact = document.createElement("div");
      fact.append(document.createElement("dt"), document.createElement("dd"));
      return fact;
    }));
  }
  known.forEach(([name, fact], place) => {
    put(list.children[place].firstChild, name);
    put(list.children[place].lastChild, fact);
  });
}

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function describe(node, label, title) {
  node.setAttribute("aria-label", label);
  node.title = title;
}

export function mark(node, name, fact) {
  if (fact) node.dataset[name] = "";
  else delete node.dataset[name];
}

export const plural = (number, one, many = `${one}s`) => `${numeral(number)} ${number === 1 ? one : many}`;
export const numeral = (number) => (number ?? 0).toLocaleString("en", { maximumFractionDigits: 1 });

// times

export const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
export const DATE = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
export const YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

export const now = () => Date.now() + skew;
export const secondsUntil = (instant) => (instant ? (Date.parse(instant) - now()) / 1000 : null);

// 09:00:00 today, Mon 23 Nov, 09:00:00 otherwise; with the fraction of a second if there is one and it matters.
export function clockTime(instant, exact = true) {
  const time = new Date(instant);
  const today = new Date(now());
  const fraction = exact && time.getMilliseconds() ? `.${String(time.getMilliseconds()).padStart(3, "0")}` : "";
  const clock = `${TIME.format(time)}${fraction}`;
  if (time.toDateString() === today.toDateString()) return clock;
  const near = Math.abs(time - today) < 180 * 86_400_000;
  return `${(near ? DATE : YEAR).format(time).replace(",", "")}, ${clock}`;
}

// The instant itself, as the reader's clocks and the server's logs have it: what stands behind a time in words.
export function exactTime(instant) {
  if (!instant) return "";
  const time = new Date(instant);
  return `${DATE.format(time).replace(",", "")} ${time.getFullYear()}, ${TIME.format(time)} (${time.toISOString()})`;
}

// How long something took, to two or three digits.
export function span(seconds) {
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "";
  if (size < 0.0001) return `${sign}${Math.round(size * 1e6)} µs`;
  if (size < 0.01) return `${sign}${(size * 1000).toFixed(1)} ms`;
  if (size < 1) return `${sign}${Math.round(size * 1000)} ms`;
  if (size < 60) return `${sign}${size.toFixed(1)} s`;
  return `${sign}${countdown(size)}`;
}

// How long until something, in whole units, the two largest.
export function countdown(seconds) {
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const largest = parts.findIndex(([number]) => number > 0);
  if (largest === -1) return "0 s";
  return parts.slice(largest, largest + 2).filter(([number]) => number > 0).map(([number, unit]) => `${number} ${unit}`).join(" ");
}

export function ago(seconds) {
  return seconds < 1 ? "just now" : `${countdown(seconds).split(" ").slice(0, 2).join(" ")} ago`;
}
