// The page of the chat: what was said in this session, whichever worker answers.

import { ago, arrange, ask, clockTime, element, exactTime, grow, keepAsking, numeral, once, put, setBanner, setHealth, showTrouble } from "./page.js";

const POLL = 3_000;
const LONG = 60_000; // a language model takes its time

let shown = null; // the latest answer

const poll = keepAsking((signal) => ask("history", { signal }), show, (error) => showTrouble(error, shown), { every: POLL });

function show(told) {
  const first = shown === null;
  shown = told;
  if (told.lag === null) setHealth("odd", "not read yet");
  else setHealth(told.fresh ? "good" : "odd", told.fresh ? `read ${ago(told.lag)}` : "stale");
  setBanner(null);
  put(element("summary"), `${numeral(told.documents)} documents`);
  put(element("hint"), `Edit ${told.to_edit} and ask again: the answer changes within ${told.every} s.`);
  put(
    element("colophon"),
    `Answers are quoted from ${told.folder}, found by ${told.found_by}. ${told.model ? `${told.model} puts them into words.` : "No language model is asked."}`,
  );
  showMessages(told.messages);
  if (first) element("log").setAttribute("aria-live", "polite"); // what was there already is not read out
}

function showMessages(messages) {
  const list = element("messages");
  const last = list.lastElementChild;
  arrange(list, "message-row", messages, updateMessage);
  element("messages-empty").hidden = messages.length > 0;
  element("forget").hidden = messages.length === 0;
  if (list.lastElementChild !== last) element("ask").scrollIntoView({ block: "nearest" });
}

// A message never changes, so its row is written once: nothing in it is read out again.
function updateMessage(row, { role, content, at }) {
  if (row.fields.who.textContent) return;
  const { who, at: time, text, quotes: box, list } = row.fields;
  const { text: said, quotes } = role === "user" ? { text: content, quotes: [] } : content;
  put(who, role === "user" ? "You" : "Handbook");
  put(time, clockTime(at, false));
  time.dateTime = at;
  time.title = exactTime(at);
  put(text, said);
  box.hidden = quotes.length === 0;
  list.append(...quotes.map(quoteRow));
}

function quoteRow(quote) {
  const row = grow("quote-row");
  const { text, document, freshness } = row.fields;
  put(text, quote.text);
  put(document, [quote.document, quote.heading].filter(Boolean).join(" › "));
  const modified = quote.modified_at === null ? "" : `, written ${clockTime(quote.modified_at, false)}`;
  const stale = quote.stale ? ", stale" : "";
  put(freshness, `revision ${numeral(quote.revision)}${modified}, confirmed ${clockTime(quote.checked_at, false)}${stale}`);
  return row;
}

element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = element("question").value.trim();
  if (question === "") return;
  once(element("send"), async () => {
    put(element("asking"), "Looking it up ...");
    try {
      show(await ask("ask", { method: "POST", body: { question }, patience: LONG }));
      element("question").value = "";
    } finally {
      put(element("asking"), "");
      element("question").focus();
    }
  });
});

element("forget").addEventListener("click", (event) => {
  once(event.currentTarget, async () => {
    await ask("history", { method: "DELETE" });
    await poll();
    element("question").focus();
  });
});

poll();
