// The dashboard of jobs and runs: asks the server once a second, and changes in the page only what has changed.

import {
  ago, arrange, ask, clockTime, confirm, countdown, describe, element, keepAsking, mark, notify, numeral, once, put,
  secondsUntil, setBanner, setHealth, showTrouble, span,
} from "./page.js";

const TICK = 250;
const OVERDUE = 5;
const MAX_NODES = 8;

const ORIGINS = { manual: "run by hand", backfill: "run after all" };
const STATES = {
  all: [],
  active: ["pending", "running"],
  failed: ["failed", "timed_out", "lost"],
  "not-run": ["missed", "skipped", "cancelled"],
};

const filter = { job: null, states: "all" };
let shown = null; // the latest overview

// the page as a whole

const poll = keepAsking(
  (signal) => {
    const query = new URLSearchParams(STATES[filter.states].map((state) => ["state", state]));
    if (filter.job !== null) query.set("job_id", filter.job);
    return ask(`overview?${query}`, { signal });
  },
  show,
  (error) => showTrouble(error, shown),
);

function show(overview) {
  shown = overview;
  document.body.classList.toggle("read-only", overview.read_only);
  showHealth(overview.health, overview.jobs.filter((job) => job.overdue_at));
  showJobs(overview);
  showRuns(overview.runs);
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const mode = overview.read_only ? " This page is read-only." : "";
  const kept = `Jobs and runs are kept in ${overview.health.store}.`;
  put(element("colophon"), `${kept} ${sayNodes(overview.nodes)} Times are those of ${zone}.${mode}`);
}

function showHealth({ running, paused, outage }, overdue) {
  if (outage) {
    setHealth("bad", "in trouble");
    setBanner("bad", "The process that answered fires nothing.", outage);
  } else if (!running) {
    setHealth("bad", "not running");
    setBanner("odd", "The scheduler of the process that answered does not run.", "Other processes may fire its jobs.");
  } else if (paused) {
    setHealth("odd", "paused");
    setBanner("odd", "The scheduler of the process that answered is paused.", "Other processes may fire its jobs.");
  } else if (overdue.length > 0) {
    setHealth("odd", overdue.length === 1 ? "1 job overdue" : `${overdue.length} jobs overdue`);
    setBanner("odd", "Not every job has succeeded when it was to:", overdue.map((job) => job.id).join(", "));
  } else {
    setHealth("good", "running");
    setBanner(null);
  }
}

function sayNodes(nodes) {
  if (nodes.length === 0) return "No node is alive.";
  const places = nodes.slice(0, MAX_NODES).map(({ host, pid, runs }) => `${host} (${pid}, ${runs} runs)`);
  const others = nodes.length > MAX_NODES ? ` and ${nodes.length - MAX_NODES} more` : "";
  return `${nodes.length} ${nodes.length === 1 ? "node is" : "nodes are"} alive: ${places.join(", ")}${others}.`;
}

// jobs

function showJobs({ jobs, jobs_total: total }) {
  arrange(element("jobs"), "job-row", jobs, updateJob);
  element("jobs-empty").hidden = total > 0;
  put(element("jobs-count"), total > jobs.length ? `the first ${jobs.length} of ${total}` : "");
  const running = jobs.filter((job) => job.last_run?.state === "running").length;
  const paused = jobs.filter((job) => job.paused).length;
  const words = [`${total} ${total === 1 ? "job" : "jobs"}`, running && `${running} running`, paused && `${paused} paused`];
  put(element("summary"), words.filter(Boolean).join(" · "));
}

function updateJob(row, job) {
  const { title, name, trigger, tags, state, "last-reason": reason, progress } = row.fields;
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
  put(reason, last && last.state !== "running" ? last.reason ?? "" : "");
  reason.title = last?.reason ?? "";
  showProgress(progress, last?.state === "running" ? last.progress : null);
  for (const button of row.querySelectorAll(".actions button")) {
    if (button.dataset.do === "pause") {
      put(button, job.paused ? "Resume" : "Pause");
      button.hidden = job.ended && !job.paused;
    }
    button.setAttribute("aria-label", `${button.textContent} ${job.id}`);
  }
  tickJob(row);
}

// The trigger without what an anchored one adds, which is in its title.
function triggerWords({ trigger, trigger_kind: kind }) {
  if (kind === "interval") return trigger.replace(/ from .*/, "");
  return kind === "date" ? trigger.replace(/\.\d+ UTC$/, " UTC") : trigger;
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
    put(next, "paused");
    const by = job.paused_by ? ` by ${job.paused_by}` : "";
    put(detail, `since ${clockTime(job.paused_at, false)}${by}${job.pause_reason ? `: ${job.pause_reason}` : ""}`);
  } else if (job.ended) {
    put(next, "ended");
    put(detail, job.last_fire_time ? `last fire time ${clockTime(job.last_fire_time, false)}` : "");
  } else {
    put(next, overdue ? `due ${ago(-left)}` : left < 0.5 ? "now" : `in ${countdown(left)}`);
    put(detail, clockTime(job.next_fire_time, false));
  }
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
    put(element("release"), waiting === 0 ? "" : `${waiting} newer ${waiting === 1 ? "run" : "runs"}: close and show`);
  }
  element("held").hidden = !held || element("release").textContent === "";
  arrange(list, "run-row", rows, updateRun);
  element("runs-empty").hidden = rows.length > 0;
  const narrowed = filter.job !== null || filter.states !== "all";
  put(element("runs-empty"), narrowed ? "No runs like these." : "No runs yet: each fire time will have its row here.");
}

function updateRun(row, run) {
  const { state, job, kind, lateness, duration, node, reason, progress, traceback } = row.fields;
  showState(state, run.state);
  put(job, run.job_id);
  const asked = run.asked_by && `for ${run.asked_by}`;
  const traits = [ORIGINS[run.origin], asked, run.attempt > 1 && `attempt ${run.attempt}`];
  put(kind, traits.filter(Boolean).join(" · "));
  const time = row.fields["fire-time"];
  put(time, run.through ? `${clockTime(run.fire_time)} – ${clockTime(run.through)}` : clockTime(run.fire_time));
  time.dateTime = run.fire_time;
  time.title = run.fire_time;
  put(lateness, run.lateness === null ? "" : span(run.lateness));
  put(duration, run.duration === null ? "" : span(run.duration));
  mark(lateness.parentElement, "none", run.lateness === null);
  mark(duration.parentElement, "none", run.duration === null);
  put(node, run.node?.slice(0, 6) ?? "");
  node.title = run.node ?? "";
  put(reason, run.reason ?? "");
  const going = run.state === "running" ? run.progress : null;
  row.fields["progress-line"].hidden = !showProgress(progress, going);
  put(row.fields["progress-text"], going ? progressWords(going) : "");
  row.querySelector('[data-do="expand"]').hidden = !run.has_error;
  traceback.setAttribute("aria-label", `Traceback of ${run.job_id}`);
}

async function expand(row, button) {
  const { traceback } = row.fields;
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  traceback.hidden = !open;
  if (!open) poll();
  if (!open || traceback.textContent) return;
  put(traceback, "...");
  try {
    put(traceback, (await ask(`runs/${encodeURIComponent(row.item.id)}`)).error ?? "");
  } catch (error) {
    put(traceback, "");
    traceback.hidden = true;
    button.setAttribute("aria-expanded", "false");
    notify(`The traceback cannot be shown: ${error.message}`);
  }
}

element("release").addEventListener("click", () => {
  for (const row of element("runs").children) {
    row.querySelector('[data-do="expand"]').setAttribute("aria-expanded", "false");
    row.fields.traceback.hidden = true;
  }
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

// changes

const CHANGES = {
  run: async (job) => {
    await ask(`${path(job)}/run`, { method: "POST", body: {} });
    return `${job.id} runs as soon as a node has room.`;
  },
  pause: async (job) => {
    if (job.paused) {
      await ask(`${path(job)}/resume`, { method: "POST", body: {} });
      return `${job.id} fires again.`;
    }
    const form = await confirm("pause-dialog", job.id);
    if (!form) return null;
    await ask(`${path(job)}/pause`, { method: "POST", body: { reason: form.get("reason").trim() || null } });
    return `${job.id} is paused.`;
  },
  remove: async (job) => {
    if (!(await confirm("remove-dialog", job.id))) return null;
    await ask(path(job), { method: "DELETE" });
    element("jobs-title").focus();
    return `${job.id} is removed.`;
  },
};

const path = (job) => `jobs/${encodeURIComponent(job.id)}`;

const change = (row, button) =>
  once(button, async () => {
    try {
      const done = await CHANGES[button.dataset.do](row.item);
      if (done !== null) notify(done);
    } finally {
      await poll();
    }
  });

document.querySelector("main").addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  const row = button?.closest("li");
  if (!row) return;
  if (button.dataset.do === "expand") expand(row, button);
  else if (button.dataset.do === "filter") {
    narrow({ job: row.item.id });
    element("runs-title").scrollIntoView({ block: "nearest" });
  } else change(row, button);
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
