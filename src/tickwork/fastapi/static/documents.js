// The dashboard of documents: the sources, looked at every other second, and a search to try.
//
// The rule: data becomes text and attributes, never markup; and a row stays the same element for as long as its source
// is shown, so that focus, selection and what was opened survive every update.

const POLL = 2_000;
const LONGEST_WAIT = 30_000;
const TIMEOUT = 30_000;
const NOTICE = 6_000;

const element = (id) => document.getElementById(id);
const rows = new Map();
const poller = { timer: null, failures: 0 };

// the server

async function ask(path, { method = "GET", body } = {}) {
  const response = await fetch(new URL(path, document.baseURI), {
    method,
    signal: AbortSignal.timeout(TIMEOUT),
    headers: method === "GET" ? {} : { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Error(typeof answer?.detail === "string" ? answer.detail : `the server answered ${response.status}`);
  return answer;
}

async function poll() {
  clearTimeout(poller.timer);
  try {
    show(await ask("overview"));
    poller.failures = 0;
  } catch (error) {
    poller.failures += 1;
    document.body.classList.add("stale");
    setHealth("bad", "in trouble");
    setBanner("bad", "The server does not answer as it should.", error.message);
  }
  const wait = Math.min(POLL * 2 ** poller.failures, LONGEST_WAIT);
  if (!document.hidden) poller.timer = setTimeout(poll, wait);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(poller.timer);
  if (!document.hidden) poll();
});

// the sources

function show({ name, now, read_only: readOnly, trouble, sources }) {
  document.body.classList.remove("stale");
  document.body.classList.toggle("read-only", readOnly);
  put(element("name"), name);
  document.title = `${name} · tickwork documents`;
  const stale = sources.filter((source) => source.fresh === false).map((source) => source.name);
  if (trouble) {
    setHealth("odd", "searching exactly");
    setBanner("odd", "The index cannot be used just now, and every vector is compared.", trouble);
  } else if (stale.length > 0) {
    setHealth("odd", stale.length === 1 ? "1 source is stale" : `${stale.length} sources are stale`);
    setBanner("odd", "Not every source was confirmed as it promises:", stale.join(", "));
  } else {
    setHealth("good", "fresh");
    setBanner(null);
  }
  const total = (of) => sources.reduce((sum, source) => sum + source[of], 0).toLocaleString();
  put(element("summary"), `${total("documents")} documents · ${total("chunks")} chunks`);
  element("sources-empty").hidden = sources.length > 0;
  for (const [known, row] of rows) {
    if (!sources.some((source) => source.name === known)) {
      row.remove();
      rows.delete(known);
    }
  }
  for (const source of sources) {
    if (!rows.has(source.name)) {
      rows.set(source.name, grow("source-row"));
      element("sources").append(rows.get(source.name));
      rows.get(source.name).querySelector("[data-do]").addEventListener("click", (event) => sync(event.target, source.name));
    }
    showSource(rows.get(source.name), source, Date.parse(now));
  }
  put(element("colophon"), readOnly ? "This page is read-only." : "");
}

function showSource(row, source, now) {
  const { title, next, state, error, counts, progress, failed } = row.fields;
  put(title, source.name);
  const due = source.next_fire_time && (Date.parse(source.next_fire_time) - now) / 1000;
  put(next, source.progress ? "syncing now" : due === null ? "without a schedule" : `next in ${span(Math.max(0, due))}`);
  state.dataset.state = source.fresh === false || source.error ? "failed" : source.lag === null ? "pending" : "succeeded";
  put(state, source.lag === null ? "never" : `${span(source.lag)} ago`);
  put(error, source.error ?? "");
  put(counts, `${source.documents.toLocaleString()} documents, ${source.chunks.toLocaleString()} chunks`);
  progress.hidden = !source.progress;
  if (source.progress?.total > 0) {
    progress.max = source.progress.total;
    progress.value = source.progress.done;
  } else {
    progress.removeAttribute("value");
  }
  put(row.fields["progress-text"], source.progress ? sayProgress(source.progress) : "");
  failed.hidden = source.failed_total === 0;
  put(row.fields["failed-count"], `${source.failed_total.toLocaleString()} could not be taken in`);
  put(row.fields["failed-list"], source.failed.map(({ id, error: why }) => `${id}: ${why}`).join("\n"));
  row.querySelector("[data-do]").hidden = source.job_id === null;
  row.querySelector("[data-do]").setAttribute("aria-label", `Sync ${source.name} now`);
}

function sayProgress({ done, total, message }) {
  return [done !== null && total ? `${done.toLocaleString()} of ${total.toLocaleString()}` : "", message].filter(Boolean).join(", ");
}

async function sync(button, name) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await ask(`sources/${encodeURIComponent(name)}/sync`, { method: "POST", body: {} });
    notify(`${name} is synced as soon as a node has room.`);
    poll();
  } catch (error) {
    notify(error.message);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// the search

element("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const query = new URLSearchParams(new FormData(event.target));
  try {
    const hits = await ask(`search?${query}`);
    element("hits").replaceChildren(...hits.map(showHit));
    element("hits-empty").hidden = hits.length > 0;
  } catch (error) {
    notify(error.message);
  }
});

function showHit(hit) {
  const row = grow("hit-row");
  const { where, score, freshness, text } = row.fields;
  put(where, [`${hit.source}: ${hit.doc_id}`, hit.heading].filter(Boolean).join(" › "));
  where.title = hit.uri ?? "";
  put(score, hit.score.toFixed(2));
  put(freshness, `confirmed ${span(hit.freshness.age)} ago${hit.freshness.stale ? ", stale" : ""}`);
  row.toggleAttribute("data-stale", hit.freshness.stale);
  put(text, hit.text);
  return row;
}

// the page

function grow(template) {
  const row = element(template).content.firstElementChild.cloneNode(true);
  row.fields = Object.fromEntries([...row.querySelectorAll("[data-field]")].map((node) => [node.dataset.field, node]));
  return row;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setHealth(kind, text) {
  element("health").dataset.health = kind;
  put(element("health-text"), text);
}

function setBanner(kind, title = "", text = "") {
  element("banner").hidden = kind === null;
  element("banner").dataset.kind = kind ?? "";
  put(element("banner-title"), title);
  put(element("banner-text"), text);
}

function notify(text) {
  put(element("notice"), text);
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => put(element("notice"), ""), NOTICE);
}

// A length of time in its two largest units.
function span(seconds) {
  const units = [[86_400, "d"], [3_600, "h"], [60, "m"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  if (first === -1) return "0s";
  let rest = Math.floor(seconds);
  return units.slice(first, first + 2).map(([size, unit]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? `${count}${unit}` : "";
  }).filter(Boolean).join(" ");
}

poll();
