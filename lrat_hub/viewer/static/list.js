"use strict";

// The list of runs, with its filter.
lrat.list = { found: [], shown: 0, PAGE: 100 };

lrat.list.start = () => {
  const { el, meta, list } = lrat;
  list.form = document.getElementById("filter");
  list.rows = document.getElementById("rows");
  const words = { outcome: "outcomes", status: "statuses", agent: "agents", retriever: "retrievers" };
  for (const [name, values] of Object.entries(meta.facets)) {
    if (values.length < 2) continue;
    const options = values.map(([value, count], at) => {
      const shown = name === "outcome" ? lrat.OUTCOMES[value] : value || "not named";
      return el("option", { value: at }, `${shown} (${count.toLocaleString("en")})`);
    });
    const select = el("select", { name, "aria-label": name }, el("option", { value: "" }, `all ${words[name]}`), options);
    document.getElementById("facets").append(select);
  }
  const inputs = Object.entries(meta.inputs).map(([name, pin]) => [el("dt", {}, name), el("dd", {}, pin)]);
  document.querySelector("#inputs dl").append(...inputs.flat(), el("dt", {}, "made by"), el("dd", {}, `lrat view ${meta.version}`));
  list.form.addEventListener("input", list.filter);
  list.form.addEventListener("submit", (event) => event.preventDefault());
  list.form.addEventListener("reset", () => setTimeout(list.filter));
  document.getElementById("more").addEventListener("click", () => list.show(list.shown + list.PAGE));
  list.filter();
};

lrat.list.matching = () => {
  const form = new FormData(lrat.list.form);
  const words = form.get("text").toLowerCase().split(/\s+/).filter(Boolean);
  const least = form.get("least") === "" ? 0 : Number(form.get("least"));
  const most = form.get("most") === "" ? Infinity : Number(form.get("most"));
  const wanted = Object.entries(lrat.meta.facets)
    .filter(([name]) => form.get(name))
    .map(([name, values]) => [name, values[form.get(name)][0]]);
  const found = lrat.runs.filter(
    (run) =>
      run.steps >= least && run.steps <= most &&
      wanted.every(([name, value]) => run[name] === value) && words.every((word) => run.sought.includes(word)),
  );
  const order = form.get("order");
  const by = order.replace("-", "");
  if (order) {
    const sign = order.startsWith("-") ? -1 : 1;
    found.sort((a, b) => sign * (a[by] < b[by] ? -1 : a[by] > b[by] ? 1 : 0) || a.number - b.number);
  }
  return found;
};

lrat.list.filter = () => {
  lrat.list.found = lrat.list.matching();
  lrat.list.show(lrat.list.PAGE, true);
};

// More runs have come: the rows stay where they are what they would be.
lrat.list.refresh = () => {
  const { list } = lrat;
  const before = list.found.slice(0, list.shown);
  list.found = list.matching();
  const same = list.shown >= list.PAGE && before.every((run, at) => run === list.found[at]);
  if (same) list.count();
  else list.show(Math.max(list.shown, list.PAGE), true);
};

lrat.list.show = (count, anew = false) => {
  const { list } = lrat;
  const focused = document.activeElement?.dataset?.number;
  if (anew) list.rows.replaceChildren();
  const from = anew ? 0 : list.shown;
  list.rows.append(...list.found.slice(from, count).map(list.row));
  list.shown = Math.min(count, list.found.length);
  document.getElementById("more").hidden = list.shown >= list.found.length;
  if (anew && focused) list.rows.querySelector(`[data-number="${focused}"]`)?.focus();
  list.count();
};

lrat.list.count = () => {
  const { list, meta, many, runs } = lrat;
  const all = many(meta.runs, "run");
  const left = runs.length < meta.runs ? ` Still loading: ${runs.length.toLocaleString("en")} of ${all} so far.` : "";
  const text = list.found.length === meta.runs ? `${all}.` : `${list.found.length.toLocaleString("en")} of ${all}.`;
  const none = !list.found.length && !left ? " No run matches: change the filter, or clear it." : "";
  document.getElementById("count").textContent = text + left + none;
};

lrat.list.row = (run) => {
  const { el, many, meta } = lrat;
  const facts = [
    many(run.steps, "step"),
    many(run.searches, "search", "searches"),
    `${run.browses.toLocaleString("en")} opened`,
    run.invalid && `${run.invalid} invalid`,
    `${many(run.words, "word")} of reasoning`,
    run.evidence > 0 && `evidence: ${run.listed} of ${run.evidence} listed, ${run.opened} opened`,
    run.pairs > 0 && many(run.pairs, "pair"),
    meta.facets.retriever.length > 1 && run.retriever && el("bdi", {}, run.retriever),
    meta.facets.agent.length > 1 && run.agent && el("bdi", {}, run.agent),
    run.status !== "completed" && run.status,
    el("bdi", {}, run.address),
  ].filter(Boolean);
  return el(
    "li", {},
    el("a", { href: lrat.link({ run: run.address }), "data-number": run.number },
      el("span", { class: "head" }, lrat.outcome(run.outcome), el("span", { class: "question" }, run.question || "(no question)")),
      el("span", { class: "facts" }, facts.flatMap((fact, at) => (at ? [" · ", fact] : fact))),
    ),
  );
};
