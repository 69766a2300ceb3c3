// The page of sessions: whose there are, how old and how big; and an end to them. What is in one is shown if the app lets it.

import {
  ago, arrange, ask, askForRights, clockTime, confirm, countdown, describe, element, exactTime, keepAsking, mark, notify, numeral, plural, put,
  secondsUntil, setBanner, setHealth, showTrouble,
} from "./page.js";

const LIMIT = 200;
const TICK = 1_000;

const filter = { user: null };
let shown = null; // the latest answer

const poll = keepAsking(
  async (signal) => {
    await askForRights(signal);
    const query = new URLSearchParams({ limit: LIMIT });
    if (filter.user !== null) query.set("user", filter.user);
    return ask(`sessions?${query}`, { signal });
  },
  show,
  (error) => showTrouble(error, shown),
);

function show(answer) {
  shown = answer;
  setHealth("good", "answering");
  setBanner(null);
  const { sessions, count, store, name } = answer;
  arrange(element("sessions"), "session-row", sessions, updateSession);
  element("sessions-empty").hidden = sessions.length > 0;
  put(element("sessions-count"), count > sessions.length ? `the first ${sessions.length} of ${numeral(count)}` : "");
  const named = sessions.filter((session) => session.user !== null).length;
  const bytes = sessions.reduce((sum, session) => sum + session.bytes, 0);
  put(element("summary"), `${plural(count, "session")} · ${named} logged in · ${size(bytes)}`);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  put(element("colophon"), `Sessions of ${name} are kept in ${store}. Times are those of ${zone}.`);
}

function updateSession(row, session) {
  const { user, id, messages, bytes, expand } = row.fields;
  put(user, session.user ?? "nobody");
  describe(user, session.user === null ? "Nobody has logged in" : `Show the sessions of ${session.user}`, session.user ?? "");
  mark(row, "ended", session.user === null);
  put(id, session.id.slice(0, 12));
  id.title = session.id;
  put(messages, numeral(session.messages));
  put(bytes, size(session.bytes));
  expand.hidden = !shown.shows_content;
  tickSession(row);
}

// What changes in a row by itself, as time goes on.
function tickSession(row) {
  const session = row.item;
  put(row.fields.seen, ago(-secondsUntil(session.seen_at)));
  row.fields.seen.title = exactTime(session.seen_at);
  put(row.fields["seen-detail"], `since ${clockTime(session.created_at, false)}`);
  put(row.fields.expires, `in ${countdown(Math.max(0, secondsUntil(session.expires_at)))}`);
  row.fields.expires.title = exactTime(session.expires_at);
  put(row.fields["expires-detail"], `at the latest ${clockTime(session.ends_at, false)}`);
}

setInterval(() => {
  if (!document.hidden && !document.body.classList.contains("stale")) {
    for (const row of element("sessions").children) tickSession(row);
  }
}, TICK);

// filters

element("user-filter").addEventListener("click", () => {
  narrow(null);
  element("sessions-title").focus();
});

function narrow(user) {
  filter.user = user;
  const chip = element("user-filter");
  chip.hidden = user === null;
  put(chip, user === null ? "" : `${user} ×`);
  chip.setAttribute("aria-label", `Show the sessions of all users, not only of ${user}`);
  element("destroy-user").hidden = user === null;
  element("sessions").replaceChildren();
  element("sessions").rows = undefined;
  poll();
}

// what is in a session

async function expand(row, button) {
  const { content } = row.fields;
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  content.hidden = !open;
  if (!open) return;
  put(content, "...");
  try {
    const { history, state } = await ask(`sessions/${row.item.id}/content`);
    const lines = history.map(({ number, role, content: said }) => `${number} ${role}: ${words(said)}`);
    const kept = Object.entries(state).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
    put(content, [...lines, ...kept].join("\n") || "Nothing is in it.");
  } catch (error) {
    put(content, "");
    content.hidden = true;
    button.setAttribute("aria-expanded", "false");
    notify(`What is in it cannot be shown: ${error.message}`);
  }
}

const words = (said) => (typeof said === "string" ? said : JSON.stringify(said));

// ends

const end = (path) => ask(path, { method: "DELETE" });

function told(done) {
  if (done === null) return;
  notify(done);
  element("sessions-title").focus();
  poll();
}

element("destroy-user").addEventListener("click", async () => {
  const user = filter.user;
  told(await confirm("destroy-user-dialog", user, async () => {
    const { ended } = await end(`users/${encodeURIComponent(user)}/sessions`);
    return `${plural(ended, "session")} of ${user} ended.`;
  }));
});

document.querySelector("main").addEventListener("click", async (event) => {
  const button = event.target.closest("[data-do]");
  const row = button?.closest("li");
  if (!row) return;
  if (button.dataset.do === "expand") expand(row, button);
  else if (button.dataset.do === "filter" && row.item.user !== null) narrow(row.item.user);
  else if (button.dataset.do === "remove") {
    told(await confirm("destroy-dialog", row.item.user ?? "nobody", async () => {
      await end(`sessions/${row.item.id}`);
      return "The session has ended.";
    }));
  }
});

// sizes

function size(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1_000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

poll();
