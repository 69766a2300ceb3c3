// The dashboard of jobs and runs: asks the server once a second, and changes in the page only what has changed.

import {
  ago, arrange, ask, askForRights, clockTime, confirm, countdown, describe, element, exactTime, keepAsking, mark, now, notify, numeral,
  once, plural, put, secondsUntil, setBanner, setHealth, showFacts, showTrouble, span,
} from "./page.js";

const TICK = 250;
const BACKFILLS = 2_000;
const OVERDUE = 5;
const MAX_NODES = 8;

const ORIGINS = { manual: "run by hand", backfill: "run after all" };
const STATES = {
  all: [],
  active: ["pending", "running"],
  failed: ["failed", "timed_out", "lost"],
  "not-run": ["missed", "skipped", "cancelled"],
};

const OVERLAPS = { skip: "others are skipped", queue: "others wait", cancel: "the oldest makes way" };

const filter = { job: null, states: "all", search: "" };
let shown = null; // the latest overview

// the page as a whole

const poll = keepAsking(
  async (signal) => {
    await askForRights(signal);
    const query = new URLSearchParams(STATES[filter.states].map((state) => ["state", state]));
    if (filter.job !== null) query.set("job_id", filter.job);
    if (filter.search !== "") query.set("search", filter.search);
    return ask(`overview?${query}`, { signal });
  },
  show,
  (error) => showTrouble(error, shown),
);

function show(overview) {
  shown = overview;
  showHealth(overview.health, overview.jobs.filter((job) => job.overdue_at));
  showJobs(overview);
  showRuns(overview.runs);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const kept = `Jobs and runs are kept in ${overview.health.store}.`;
  put(element("colophon"), `${kept} ${sayNodes(overview.nodes)} Times are those of ${zone}.`);
}

function showHealth({ running, paused, outage, overdue: known }, overdue) {
  const count = Math.max(overdue.length, known ?? 0); // a search may have left some of them out
  if (outage) {
    setHealth("bad", "in trouble");
    setBanner("bad", "The process that answered fires nothing.", outage);
  } else if (!running) {
    setHealth("bad", "not running");
    setBanner("odd", "The scheduler of the process that answered does not run.", "Other processes may fire its jobs.");
  } else if (paused) {
    setHealth("odd", "paused");
    setBanner("odd", "The scheduler of the process that answered is paused.", "Other processes may fire its jobs.");
  } else if (count > 0) {
    setHealth("odd", `${plural(count, "job")} overdue`);
    setBanner("odd", "Not every job has succeeded when it was to:", overdue.map((job) => job.id).join(", "));
  } else {
    setHealth("good", "running");
    setBanner(null);
  }
}

function sayNodes(nodes) {
  if (nodes.length === 0) return "No node is alive.";
  const places = nodes.slice(0, MAX_NODES).map(({ host, pid, runs }) => `${host} (${pid}, ${plural(runs, "run")})`);
  const others = nodes.length > MAX_NODES ? ` and ${nodes.length - MAX_NODES} more` : "";
  return `${plural(nodes.length, "node is", "nodes are")} alive: ${places.join(", ")}${others}.`;
}

// jobs

function showJobs({ jobs, jobs_total: total }) {
  arrange(element("jobs"), "job-row", jobs, updateJob);
  element("jobs-empty").hidden = total > 0 || filter.search !== "";
  element("job-search").hidden = total === 0 && filter.search === "";
  element("jobs-none").hidden = total > 0 || filter.search === "";
  put(element("jobs-count"), total > jobs.length ? `the first ${jobs.length} of ${total}` : "");
  const running = jobs.filter((job) => job.last_run?.state === "running").length;
  const paused = jobs.filter((job) => job.paused).length;
  const words = [filter.search === "" ? plural(total, "job") : `${plural(total, "job")} found`, running && `${running} running`, paused && `${paused} paused`];
  put(element("summary"), words.filter(Boolean).join(" · "));
}

function updateJob(row, job) {
  const { title, name, trigger, tags, state, "last-reason": reason, progress, open, details } = row.fields;
  const last = job.last_run;
  put(title, job.id);
  describe(title, `Show the runs of ${job.id}`, job.func);
  put(name, [job.id, job.func.split(":").pop()].includes(job.name) ? "" : `${job.name} · `);
  put(trigger, triggerWords(job));
  trigger.title = job.trigger;
  put(tags, job.tags.join(" · "));
  tags.parentElement.hidden = job.tags.length === 0;
  mark(row, "paused", job.paused);
  mark(row, "ended", job.ended);
  showState(state, last?.state);
  const why = last && last.state !== "running" ? last.reason : null;
  put(reason, job.overdue_at ? `no success in time: overdue since ${clockTime(job.overdue_at, false)}` : why ?? "");
  reason.title = why ?? "";
  showProgress(progress, last?.state === "running" ? last.progress : null);
  for (const button of row.querySelectorAll(":scope > .actions button")) {
    if (button.dataset.do === "pause") {
      put(button, job.paused ? "Resume" : "Pause");
      button.hidden = job.ended && !job.paused;
    }
    button.setAttribute("aria-label", `${button.textContent} ${job.id}`);
  }
  open.setAttribute("aria-label", `More about ${job.id}`);
  details.setAttribute("aria-label", `More about ${job.id}`);
  if (!details.hidden) showJobDetails(row);
  tickJob(row);
}

// The trigger in words, without what an anchored one adds, which is in its title.
function triggerWords({ explanation, trigger_kind: kind }) {
  if (kind === "interval") return explanation.replace(/, from .*/, "");
  return kind === "date" ? explanation.replace(/\.\d+ UTC$/, " UTC") : explanation;
}

// What changes in a row by itself, as time goes on.
function tickJob(row) {
  const { next, "next-detail": detail, "last-detail": lastDetail } = row.fields;
  const job = row.item;
  const last = job.last_run;
  const left = secondsUntil(job.next_fire_time);
  const overdue = left !== null && left < -OVERDUE && !job.paused && job.last_run?.state !== "running";
  mark(row, "overdue", overdue);
  if (job.paused) {
    put(next, job.retired_at ? "retired" : "paused");
    const by = job.paused_by ? ` by ${job.paused_by}` : "";
    put(detail, `since ${clockTime(job.paused_at, false)}${by}${job.pause_reason ? `: ${job.pause_reason.replace(/^retired: /, "")}` : ""}`);
  } else if (job.ended) {
    put(next, "ended");
    put(detail, job.last_fire_time ? `last fire time ${clockTime(job.last_fire_time, false)}` : "");
  } else {
    put(next, overdue ? `due ${ago(-left)}` : left < 0.5 ? "now" : `in ${countdown(left)}`);
    put(detail, clockTime(job.next_fire_time, false));
  }
  detail.title = exactTime(job.paused ? job.paused_at : job.next_fire_time ?? job.last_fire_time);
  lastDetail.title = exactTime(last?.ended_at ?? last?.started_at);
  const since = last && secondsUntil(last.ended_at ?? last.started_at ?? last.fire_time);
  const took = last?.duration == null ? "" : `, took ${span(last.duration)}`;
  if (!last) put(lastDetail, "none yet");
  else if (last.ended_at) put(lastDetail, `${ago(-since)}${took}`);
  else if (last.state === "running") put(lastDetail, `for ${countdown(Math.max(0, -since))}`);
  else put(lastDetail, last.attempt > 1 ? `attempt ${last.attempt} waits` : "waits for a node with room");
}

setInterval(() => {
  if (!document.hidden && !document.body.classList.contains("stale")) {
    for (const row of element("jobs").children) tickJob(row);
  }
}, TICK);

// one job

function showJobDetails(row) {
  const { facts, backfills } = row.fields;
  const { item: job } = row;
  const most = job.retry.max_attempts;
  showFacts(facts, {
    Calls: job.func,
    On: job.executor,
    "At once": job.max_instances === 1 ? `1; ${OVERLAPS[job.overlap]}` : `${numeral(job.max_instances)}; ${OVERLAPS[job.overlap]}`,
    Attempts: most === 1 ? "1" : `up to ${numeral(most)}`,
    "May take": job.timeout === null ? "as long as it likes" : countdown(job.timeout),
    "Missed together": job.coalesce ? "run once" : "run one by one",
    "Last fire time": job.last_fire_time && clockTime(job.last_fire_time),
    "Declared by": job.declared,
    Metadata: Object.entries(job.metadata).map(([name, value]) => `${name}=${value}`).join(" · "),
  });
  arrange(backfills, "backfill-row", row.backfills ?? [], updateBackfill);
  backfills.hidden = (row.backfills ?? []).length === 0;
}

async function openJob(row) {
  const at = row.querySelector('[name="at"]');
  if (!at.value) at.value = localTime(row.item.last_fire_time ?? new Date(now()).toISOString());
  showJobDetails(row);
  await lookForBackfills(row);
}

async function lookForBackfills(row) {
  try {
    row.backfills = await ask(`backfills?${new URLSearchParams({ job_id: row.item.id, limit: 5 })}`);
    showJobDetails(row);
  } catch (error) {
    notify(`Its backfills cannot be shown: ${error.message}`);
  }
}

function updateBackfill(row, backfill) {
  const { said, stop } = row.fields;
  const range = `${clockTime(backfill.start, false)} – ${clockTime(backfill.end, false)}`;
  const state = backfill.ended_at === null ? "goes on" : backfill.reason ?? "done";
  put(said, `Backfill, ${range}: ${plural(backfill.born, "run")}, ${numeral(backfill.passed_over)} had one · ${state}`);
  stop.hidden = backfill.ended_at !== null;
}

async function askWhy(row, form) {
  const { answer } = row.fields;
  try {
    const { sentence } = await ask(`${path(row.item)}/why?${new URLSearchParams({ at: toInstant(form.get("at")) })}`);
    put(answer, sentence);
  } catch (error) {
    put(answer, error.message);
  }
}

// What `datetime-local` has, in the reader's zone, and back.
function localTime(instant) {
  const time = new Date(instant);
  return new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

const toInstant = (local) => new Date(local).toISOString();

setInterval(() => {
  for (const row of element("jobs").children) {
    const goingOn = row.backfills?.some((backfill) => backfill.ended_at === null);
    if (goingOn && !row.fields.details.hidden && !document.hidden) lookForBackfills(row);
  }
}, BACKFILLS);

// runs

function showRuns(runs) {
  const list = element("runs");
  const held = list.querySelector('[aria-expanded="true"]') !== null;
  let rows = runs;
  if (held) {
    // Someone reads: what is shown stays where it is, with its news, and what is new waits above.
    const news = new Map(runs.map((run) => [run.id, run]));
    rows = [...list.children].map((row) => news.get(row.item.id) ?? row.item);
    const waiting = runs.length - rows.filter((run) => news.has(run.id)).length;
    put(element("release"), waiting === 0 ? "" : `${plural(waiting, "newer run")}: close and show`);
  }
  element("held").hidden = !held || element("release").textContent === "";
  arrange(list, "run-row", rows, updateRun);
  element("runs-empty").hidden = rows.length > 0;
  const narrowed = filter.job !== null || filter.states !== "all";
  put(element("runs-empty"), narrowed ? "No runs like these." : "No runs yet: each fire time will have its row here.");
}

function updateRun(row, run) {
  const { state, job, kind, lateness, duration, node, reason, progress, open, details } = row.fields;
  showState(state, run.state);
  put(job, run.job_id);
  const asked = run.asked_by && `for ${run.asked_by}`;
  const traits = [ORIGINS[run.origin], asked, run.attempt > 1 && `attempt ${run.attempt}`];
  put(kind, traits.filter(Boolean).join(" · "));
  const time = row.fields["fire-time"];
  put(time, run.through ? `${clockTime(run.fire_time)} – ${clockTime(run.through)}` : clockTime(run.fire_time));
  time.dateTime = run.fire_time;
  time.title = exactTime(run.fire_time);
  put(lateness, run.lateness === null ? "" : span(run.lateness));
  put(duration, run.duration === null ? "" : span(run.duration));
  mark(lateness.parentElement, "none", run.lateness === null);
  mark(duration.parentElement, "none", run.duration === null);
  put(node, run.node?.slice(0, 6) ?? "");
  node.title = run.node ?? "";
  const stopping = run.cancel_reason && run.state === "running" ? `asked to end: ${run.cancel_reason}` : null;
  put(reason, run.reason ?? stopping ?? "");
  const going = run.state === "running" ? run.progress : null;
  row.fields["progress-line"].hidden = !showProgress(progress, going);
  put(row.fields["progress-text"], going ? progressWords(going) : "");
  open.setAttribute("aria-label", `Details of ${run.job_id}, ${time.textContent}`);
  details.setAttribute("aria-label", open.getAttribute("aria-label"));
  if (!details.hidden && (run.state === "running" || row.known !== run.state)) showRunDetails(row);
}

// What has been written down of a run; asked for again while it goes on.
async function showRunDetails(row) {
  if (row.asking) return;
  row.asking = true;
  const { facts, log, raised, traceback, returned, result, cancel, retry } = row.fields;
  const id = encodeURIComponent(row.item.id);
  try {
    const [run, logged] = await Promise.all([ask(`runs/${id}`), ask(`runs/${id}/log`)]);
    row.known = run.state;
    if (run.state !== row.item.state) {
      row.item = run; // and no longer among the latest
      updateRun(row, run);
    }
    showFacts(facts, {
      Run: run.id,
      "Fire time": exactTime(run.fire_time),
      Began: run.started_at && clockTime(run.started_at),
      Ended: run.ended_at && clockTime(run.ended_at),
      Backfill: run.backfill,
    });
    put(log, logWords(logged) || "Nothing was logged with run.log.");
    raised.hidden = run.error === null;
    put(traceback, run.error ?? "");
    returned.hidden = run.result === null;
    put(result, run.result === null ? "" : JSON.stringify(run.result, null, 2));
    cancel.hidden = !STATES.active.includes(run.state);
    retry.hidden = !cancel.hidden || run.state === "succeeded";
    for (const [box, said] of [[log, "Log"], [traceback, "Traceback"], [result, "Result"]]) {
      box.setAttribute("aria-label", `${said} of ${run.job_id}`);
    }
  } catch (error) {
    notify(`Its details cannot be shown: ${error.message}`);
  } finally {
    row.asking = false;
  }
}

function logWords({ beginning, end, left_out: left }) {
  const gap = left > 0 ? [`... ${plural(left, "line")} not kept ...`] : [];
  return [...beginning.map(lineWords), ...gap, ...end.map(lineWords)].join("\n");
}

const lineWords = ({ at, level, text }) => `${clockTime(at)}  ${level.padEnd(7)}  ${text}`;

function close(row) {
  row.fields.open.setAttribute("aria-expanded", "false");
  row.fields.details.hidden = true;
}

function toggle(row, button, show) {
  if (button.getAttribute("aria-expanded") === "true") {
    close(row);
    poll();
  } else {
    button.setAttribute("aria-expanded", "true");
    row.fields.details.hidden = false;
    show(row);
  }
}

element("release").addEventListener("click", () => {
  for (const row of element("runs").children) close(row);
  element("runs-title").focus();
  poll();
});

// filters

element("state-filter").addEventListener("change", (event) => narrow({ states: event.target.value }));
element("job-filter").addEventListener("click", () => {
  narrow({ job: null });
  element("runs-title").focus();
});

function narrow(wish) {
  Object.assign(filter, wish);
  const chip = element("job-filter");
  chip.hidden = filter.job === null;
  put(chip, filter.job === null ? "" : `${filter.job} ×`);
  chip.setAttribute("aria-label", `Show the runs of all jobs, not only of ${filter.job}`);
  element("runs").replaceChildren();
  element("runs").rows = undefined;
  poll();
}

element("job-search").addEventListener("input", (event) => {
  filter.search = event.target.value.trim();
  poll();
});

// changes

const post = (path, body = {}) => ask(path, { method: "POST", body });
const path = (job) => `jobs/${encodeURIComponent(job.id)}`;
const reasonIn = (form) => ({ reason: form.get("reason").trim() || null });

// Each says what it has done, or null if it was not wanted after all.
const CHANGES = {
  run: async ({ item: job }) => {
    await post(`${path(job)}/run`);
    return `${job.id} runs as soon as a node has room.`;
  },
  "run-with": ({ item: job }) =>
    confirm("run-dialog", job.id, async (form) => {
      await post(`${path(job)}/run`, `{"kwargs": ${given(form, "kwargs")}, "args": ${given(form, "args")}}`);
      return `${job.id} runs as soon as a node has room.`;
    }),
  pause: async ({ item: job }) => {
    if (!job.paused) {
      return confirm("pause-dialog", job.id, async (form) => {
        await post(`${path(job)}/pause`, reasonIn(form));
        return `${job.id} is paused.`;
      });
    }
    await post(`${path(job)}/resume`);
    return `${job.id} fires again.`;
  },
  backfill: (row) =>
    confirm("backfill-dialog", row.item.id, async (form) => {
      await post(`${path(row.item)}/backfill`, {
        start: toInstant(form.get("start")),
        end: toInstant(form.get("end")),
        max_instances: Number(form.get("max_instances")),
        everything: form.has("everything"),
      });
      lookForBackfills(row);
      return `${row.item.id} is backfilled, ${form.get("max_instances")} at once.`;
    }),
  "cancel-backfill": async (row, backfill) => {
    await post(`backfills/${encodeURIComponent(backfill.id)}/cancel`);
    lookForBackfills(row);
    return "The backfill has ended.";
  },
  remove: ({ item: job }) =>
    confirm("remove-dialog", job.id, async () => {
      await ask(path(job), { method: "DELETE" });
      element("jobs-title").focus();
      return `${job.id} is removed.`;
    }),
  cancel: ({ item: run }) =>
    confirm("cancel-dialog", run.job_id, async (form) => {
      await post(`runs/${encodeURIComponent(run.id)}/cancel`, reasonIn(form));
      return `The run of ${run.job_id} is asked to end.`;
    }),
  retry: async ({ item: run }) => {
    await post(`runs/${encodeURIComponent(run.id)}/retry`);
    return `${run.job_id} is tried again as soon as a node has room.`;
  },
};

// The JSON in a field, as it was typed: a number of more than 16 digits would be another one if it was read here. Nothing
// is null, which leaves the job its own.
function given(form, name) {
  const text = form.get(name).trim() || "null";
  try {
    JSON.parse(text);
    return text;
  } catch {
    throw new Error(`expected JSON such as ${name === "args" ? '["a", 1]' : '{"day": "2026-03-01"}'}, got what is none: put names and texts in double quotes`);
  }
}

const change = (row, button) =>
  once(button, async () => {
    try {
      const done = await CHANGES[button.dataset.do](row, button.closest("li").item);
      if (done !== null) notify(done);
    } finally {
      await poll();
    }
  });

document.querySelector("main").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  const row = button?.closest(".job, .run");
  if (!row) return;
  if (button.dataset.do === "open") toggle(row, button, row.matches(".job") ? openJob : showRunDetails);
  else if (button.dataset.do === "filter") {
    narrow({ job: row.item.id });
    element("runs-title").scrollIntoView({ block: "nearest" });
  } else change(row, button);
});

element("jobs").addEventListener("submit", (event) => {
  event.preventDefault();
  once(event.submitter, () => askWhy(event.target.closest(".job"), new FormData(event.target)));
});

// states and progress

function showState(node, state) {
  node.dataset.state = state ?? "";
  put(node, state ? state.replace("_", " ") : "");
}

// Whether there is any progress to show.
function showProgress(node, progress) {
  node.hidden = progress === null || progress === undefined;
  if (node.hidden) return false;
  if (progress.total > 0 && progress.done !== null) {
    node.max = progress.total;
    node.value = Math.min(progress.done, progress.total);
  } else {
    node.removeAttribute("value");
  }
  node.setAttribute("aria-label", "Progress");
  return true;
}

function progressWords({ done, total, message }) {
  const count = total > 0 ? `${numeral(done)} of ${numeral(total)}` : numeral(done);
  return [count, message].filter(Boolean).join(" · ");
}

poll();
