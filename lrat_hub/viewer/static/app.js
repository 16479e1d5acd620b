"use strict";

// Which view the address asks for, and the keys.
lrat.app = { shown: "", asked: 0 };

lrat.app.parts = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

lrat.app.view = (name) => {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== name;
};

lrat.app.problem = (error) => {
  document.querySelector("#problem p").textContent = error.message;
  lrat.app.view("problem");
};

lrat.app.route = async () => {
  const { app, run } = lrat;
  const { run: id, with: other, turn, side = "a" } = app.parts();
  const main = document.getElementById("runs");
  const asked = ++app.asked;
  if (!id) {
    app.view("list");
    document.title = `Runs of ${lrat.meta.title}`;
    const last = app.record && lrat.list.rows.querySelector(`[data-number="${app.record.number}"]`);
    app.shown = "";
    if (last) last.focus();
    else scrollTo(0, 0);
    return;
  }
  try {
    const key = JSON.stringify([id, other]);
    if (app.shown !== key) {
      const records = await Promise.all([id, other].map((name) => name && lrat.find(name)));
      const missing = [id, other].find((name, at) => name && !records[at]);
      if (missing) throw new Error(`There is no run ${missing} in this page.`);
      const pages = await Promise.all(records.map((record) => record && lrat.open(record)));
      // Something else was asked for meanwhile.
      if (asked !== app.asked) return;
      run.show(main, records, pages);
      [app.record] = records;
      app.shown = key;
      document.title = (records[0].question || id).slice(0, 80);
      scrollTo(0, 0);
    }
    app.view("runs");
    if (turn !== undefined) app.goTo(main, side, turn);
  } catch (error) {
    if (asked === app.asked) app.problem(error);
  }
};

lrat.app.goTo = (main, side, turn) => {
  lrat.run.side(main, side);
  const step = document.getElementById(`${side}-turn-${turn}`);
  step?.focus({ preventScroll: true });
  step?.scrollIntoView({ block: "start" });
};

// The next item from the one that has the focus; without one, the first.
lrat.app.move = (items, by) => {
  const at = items.indexOf(document.activeElement.closest("a[data-number], article.step"));
  const next = items[at < 0 ? 0 : Math.min(Math.max(at + by, 0), items.length - 1)];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: next.matches("article") ? "start" : "nearest" });
  return next;
};

lrat.app.step = (by) => {
  const main = document.getElementById("runs");
  const side = document.activeElement.closest("section.run")?.dataset.side ?? main.dataset.side;
  const items = [...main.querySelectorAll(`section.run[data-side="${side}"] article.step`)];
  const step = lrat.app.move(items, by);
  if (!step) return;
  const { run, with: other } = lrat.app.parts();
  history.replaceState(null, "", lrat.link({ run, with: other, side: side === "b" ? "b" : undefined, turn: step.dataset.turn }));
};

lrat.app.neighbour = (by) => {
  const { found } = lrat.list;
  const next = found[found.indexOf(lrat.app.record) + by];
  if (next) location.hash = lrat.link({ run: next.address });
};

lrat.app.keys = (event) => {
  const { app } = lrat;
  const help = document.getElementById("help");
  const typing = event.target.matches("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const inRun = !document.getElementById("runs").hidden;
  const rows = () => [...lrat.list.rows.querySelectorAll("a")];
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    else if (location.hash.length > 1) location.hash = "";
    return;
  }
  if (typing) return;
  const search = lrat.list.form.elements.text;
  const actions = {
    j: () => (inRun ? app.step(1) : app.move(rows(), 1)),
    k: () => (inRun ? app.step(-1) : app.move(rows(), -1)),
    "]": () => inRun && app.neighbour(1),
    "[": () => inRun && app.neighbour(-1),
    e: () => {
      const details = [...(document.activeElement.closest("article.step")?.querySelectorAll("details") ?? [])];
      const open = details.some((one) => !one.open);
      for (const one of details) one.open = open;
    },
    "/": () => {
      if (inRun) location.hash = "";
      setTimeout(() => search.focus());
    },
    "?": () => help.showModal(),
  };
  if (!(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
};

lrat.app.start = async () => {
  try {
    await lrat.start(lrat.list.refresh);
    document.getElementById("title").textContent = lrat.meta.title;
    document.getElementById("help-button").addEventListener("click", () => document.getElementById("help").showModal());
    lrat.list.start();
  } catch (error) {
    lrat.app.problem(error);
    return;
  }
  lrat.whole.catch(lrat.app.problem);
  addEventListener("hashchange", lrat.app.route);
  addEventListener("keydown", lrat.app.keys);
  await lrat.app.route();
};

lrat.app.start();
