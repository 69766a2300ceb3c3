// The page of documents: the sources, looked at every other second; what one of them has; and a search to try.

import {
  ago, arrange, ask, askForRights, clockTime, countdown, element, exactTime, grow, keepAsking, notify, numeral, once, plural, put,
  secondsUntil, setBanner, setHealth, showTrouble,
} from "./page.js";

const POLL = 2_000;
const LONG = 30_000; // an embedder that is loaded first takes its time
const PAGE = 50;

const browsing = { source: null, offset: 0, states: "all" };
let shown = null; // the latest answer

const poll = keepAsking(
  async (signal) => {
    await askForRights(signal);
    const [overview, page] = await Promise.all([ask("overview", { signal }), askForDocuments(signal)]);
    return { ...overview, page };
  },
  show,
  (error) => showTrouble(error, shown),
  { every: POLL },
);

function show(answer) {
  shown = answer;
  const { name, trouble, sources, page } = answer;
  put(element("name"), name);
  document.title = `${name} · tickwork documents`;
  const stale = sources.filter((source) => source.fresh === false).map((source) => source.name);
  if (trouble) {
    setHealth("odd", "searching exactly");
    setBanner("odd", "The index cannot be used just now, and every vector is compared.", trouble);
  } else if (stale.length > 0) {
    setHealth("odd", plural(stale.length, "source is", "sources are") + " stale");
    setBanner("odd", "Not every source was confirmed as it promises:", stale.join(", "));
  } else {
    setHealth("good", "fresh");
    setBanner(null);
  }
  const total = (of) => sources.reduce((sum, source) => sum + source[of], 0);
  put(element("summary"), `${plural(total("documents"), "document")} · ${plural(total("chunks"), "chunk")}`);
  arrange(element("sources"), "source-row", sources.map((source) => ({ ...source, id: source.name })), updateSource);
  element("sources-empty").hidden = sources.length > 0;
  showDocuments(page);
  put(element("colophon"), `Times are those of ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`);
}

// the sources

function updateSource(row, source) {
  const { title, next, state, error, counts, progress, failed } = row.fields;
  const left = secondsUntil(source.next_fire_time);
  put(title, source.name);
  put(next, source.progress ? "syncing now" : left === null ? "without a schedule" : `next in ${countdown(Math.max(0, left))}`);
  state.dataset.state = source.fresh === false || source.error ? "failed" : source.lag === null ? "pending" : "succeeded";
  put(state, source.lag === null ? "never" : ago(source.lag));
  state.title = exactTime(source.last_ok);
  next.title = exactTime(source.next_fire_time);
  put(error, source.error ?? "");
  put(counts, `${plural(source.documents, "document")}, ${plural(source.chunks, "chunk")}`);
  progress.hidden = !source.progress;
  if (source.progress?.total > 0) {
    progress.max = source.progress.total;
    progress.value = source.progress.done;
  } else {
    progress.removeAttribute("value");
  }
  progress.setAttribute("aria-label", `Progress of ${source.name}`);
  put(row.fields["progress-text"], source.progress ? progressWords(source.progress) : "");
  put(failed, source.failed_total === 0 ? "" : `${numeral(source.failed_total)} could not be taken in`);
  for (const button of row.querySelectorAll("[data-do]")) {
    button.setAttribute("aria-label", `${button.textContent} (${source.name})`);
    if (button.dataset.do === "sync") button.hidden = source.job_id === null;
  }
}

function progressWords({ done, total, message, rate, eta }) {
  return [
    done !== null && total ? `${numeral(done)} of ${numeral(total)}` : "",
    rate === null ? "" : `${numeral(rate)} a second`,
    eta === null ? "" : `${countdown(eta)} left`,
    message,
  ].filter(Boolean).join(" · ");
}

const sync = (source, button) =>
  once(button, async () => {
    await ask(`sources/${encodeURIComponent(source.name)}/sync`, { method: "POST", body: {} });
    notify(`${source.name} is synced as soon as a node has room.`);
    poll();
  });

// what a source has

const documentsPath = () => `sources/${encodeURIComponent(browsing.source)}/documents`;

async function askForDocuments(signal) {
  if (browsing.source === null) return null;
  const query = new URLSearchParams({ limit: PAGE, offset: browsing.offset });
  if (browsing.states === "quarantined") query.set("quarantined", "true");
  return ask(`${documentsPath()}?${query}`, { signal });
}

function showDocuments(page) {
  element("browser").hidden = page === null;
  if (page === null || page.source !== browsing.source) return;
  const { documents, total } = page;
  const last = browsing.offset + documents.length;
  put(element("documents-count"), documents.length === total ? "" : `${numeral(browsing.offset + 1)} to ${numeral(last)} of ${numeral(total)}`);
  arrange(element("documents"), "document-row", documents, updateDocument);
  element("documents-empty").hidden = documents.length > 0;
  element("pager").hidden = browsing.offset === 0 && last >= total;
  element("before").setAttribute("aria-disabled", String(browsing.offset === 0));
  element("after").setAttribute("aria-disabled", String(last >= total));
}

function updateDocument(row, document) {
  const { title, where, state, error, times, expand, chunks } = row.fields;
  put(title, document.id);
  put(where, document.uri === null || document.uri === document.id ? "" : document.uri);
  state.dataset.state = document.state === "quarantined" ? "failed" : "succeeded";
  put(state, document.state);
  const tried = document.retry_at === null ? "" : `, tried again ${clockTime(document.retry_at, false)}`;
  put(error, document.error === null ? "" : `${document.error} (${plural(document.failures, "time")}${tried})`);
  put(times, timesWords(document));
  times.title = exactTime(document.indexed_at);
  expand.hidden = document.revision === null;
  put(expand, plural(document.chunks, "chunk"));
  expand.setAttribute("aria-label", `${expand.textContent} of ${document.id}`);
  chunks.setAttribute("aria-label", `Chunks of ${document.id}`);
  if (!chunks.hidden && chunks.dataset.revision !== String(document.revision)) showChunks(row, 0);
}

function timesWords({ revision, modified_at: modified, indexed_at: indexed, checked_at: checked }) {
  if (revision === null) return "not searched: no revision of it was taken in";
  return [
    `revision ${numeral(revision)}`,
    modified && `modified ${clockTime(modified, false)}`,
    `indexed ${clockTime(indexed, false)}`,
    `confirmed ${ago(-secondsUntil(checked))}`,
  ].filter(Boolean).join(" · ");
}

async function expand(row, button) {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  row.fields.chunks.hidden = !open;
  if (open) await showChunks(row, 0);
}

async function showChunks(row, offset) {
  const { chunks: box, list } = row.fields;
  box.dataset.revision = row.item.revision;
  try {
    const query = new URLSearchParams({ limit: PAGE, offset });
    const { chunks, total } = await ask(`${documentsPath()}/${encodeURIComponent(row.item.id)}/chunks?${query}`);
    if (offset === 0) list.replaceChildren();
    list.append(...chunks.map(chunkRow));
    const seen = offset + chunks.length;
    if (seen < total && chunks.length > 0) list.append(further(row, seen, total));
  } catch (error) {
    notify(`Its chunks cannot be shown: ${error.message}`);
  }
}

function chunkRow({ position, heading, text }) {
  const row = grow("chunk-row");
  put(row.fields.position, heading === "" ? `${position}` : `${position} ·`);
  put(row.fields.heading, heading);
  put(row.fields.text, text);
  return row;
}

function further(row, offset, total) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  put(button, `Further chunks: ${numeral(total - offset)}`);
  button.addEventListener("click", async () => {
    row.fields.chunks.focus();
    item.remove();
    await showChunks(row, offset);
  });
  item.append(button);
  return item;
}

function browse(wish) {
  Object.assign(browsing, { offset: 0 }, wish);
  put(element("source-filter"), browsing.source === null ? "" : `${browsing.source} ×`);
  element("source-filter").setAttribute("aria-label", `Show the documents of ${browsing.source} no more`);
  element("documents").replaceChildren();
  element("documents").rows = undefined;
  return poll();
}

element("source-filter").addEventListener("click", () => {
  browse({ source: null });
  element("search-title").scrollIntoView({ block: "nearest" });
  element("question").focus();
});
element("state-filter").addEventListener("change", (event) => browse({ states: event.target.value }));
for (const [id, step] of [["before", -PAGE], ["after", PAGE]]) {
  element(id).addEventListener("click", (event) => {
    if (event.target.getAttribute("aria-disabled") === "true") return;
    browse({ offset: Math.max(0, browsing.offset + step) });
    element("documents-title").focus();
  });
}

document.querySelector("main").addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  const row = button?.closest("li");
  if (!row) return;
  if (button.dataset.do === "sync") sync(row.item, button);
  else if (button.dataset.do === "expand") expand(row, button);
  else if (button.dataset.do === "browse") {
    await browse({ source: row.item.name });
    element("documents-title").focus();
  }
});

// the search

element("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const query = new URLSearchParams(new FormData(event.target));
  try {
    const hits = await ask(`search?${query}`, { patience: LONG });
    element("hits").replaceChildren(...hits.map(hitRow));
    element("hits-empty").hidden = hits.length > 0;
  } catch (error) {
    notify(error.message);
  }
});

function hitRow(hit) {
  const row = grow("hit-row");
  const { where, score, freshness, text } = row.fields;
  put(where, [`${hit.source}: ${hit.doc_id}`, hit.heading].filter(Boolean).join(" › "));
  where.title = hit.uri ?? "";
  put(score, `score ${hit.score.toFixed(2)}`);
  put(freshness, `confirmed ${ago(hit.freshness.age)}${hit.freshness.stale ? ", stale" : ""}`);
  freshness.title = exactTime(hit.freshness.checked_at);
  row.toggleAttribute("data-stale", hit.freshness.stale);
  put(text, hit.text);
  return row;
}

poll();
