"use strict";

// One run, or two side by side.
lrat.run = { LONG: 900 };

// A text that is shown whole when it is short, and by its beginning otherwise.
lrat.run.text = (text, kind) => {
  const { el } = lrat;
  if (text.length <= lrat.run.LONG) return el("div", { class: `text ${kind}` }, text);
  const start = text.slice(0, lrat.run.LONG).replace(/\S{0,40}$/, "");
  return el("details", { class: `long ${kind}` },
    el("summary", {}, el("span", { class: "text" }, `${start}…`), el("span", { class: "all" }, "show all")),
    el("div", { class: "text" }, text));
};

lrat.run.hit = (hit, place) => {
  const { el, mark } = lrat;
  const name = hit.title || hit.docid;
  const marks = [
    hit.grade && mark(hit.grade > 1 ? `evidence ${hit.grade}` : "evidence", "evidence", "judged relevant to the question"),
    (hit.opened ?? []).map((turn) => el("a", { class: "mark opened", href: place.link(turn), title: "opened from this list" }, `opened at turn ${turn}`)),
    place.other?.has(hit.docid) && mark("opened by the other", "other"),
  ];
  const line = [
    el("span", { class: "title" }, name), " ", hit.title && el("span", { class: "soft" }, hit.docid), " ",
    hit.score !== undefined && el("span", { class: "soft score" }, hit.score.toPrecision(4)), marks,
  ];
  const kind = [hit.grade && "evidence", hit.opened && "opened"].filter(Boolean).join(" ");
  return el("li", { value: hit.rank, class: kind },
    hit.snippet ? el("details", {}, el("summary", {}, line), el("div", { class: "text snippet" }, hit.snippet)) : el("div", { class: "bare" }, line));
};

lrat.run.lists = (step, place) => {
  const { el, many } = lrat;
  return (step.lists ?? []).map(({ query, hits }) => [
    el("p", { class: "query" }, query ? ["“", el("bdi", {}, query), "”"] : "(a query that the log does not have)", " ", el("span", { class: "soft" }, hits.length ? many(hits.length, "result") : "no results")),
    hits.length > 0 && el("ol", { class: "hits" }, hits.map((hit) => lrat.run.hit(hit, place))),
  ]);
};

lrat.run.browse = (step, place) => {
  const { el, mark } = lrat;
  const { from } = step;
  return el("p", { class: "document" },
    el("span", { class: "title" }, step.title || step.docid || "(no document)"), " ",
    step.title && el("span", { class: "soft" }, step.docid), " ",
    step.grade && mark("evidence", "evidence"),
    step.repeat && mark("opened before", "plain"),
    from && el("a", { class: "mark plain", href: place.link(from.turn) }, `rank ${from.rank} at turn ${from.turn}`),
    !from && !step.failed && mark("not listed before", "plain", "no earlier search listed this document"),
    step.failed && mark("failed", "incorrect"),
    place.other?.has(step.docid) && mark("opened by the other", "other"));
};

lrat.run.pair = (pair, place) => {
  const { el, many, mark } = lrat;
  const weight = pair.weight === null ? "no weight" : `weight ${pair.weight.toFixed(3)}`;
  const negatives = pair.negatives ?? [];
  return el("div", { class: "pair" },
    el("p", {}, mark(pair.verdict, pair.verdict, "verdict of the judge"), " pair · ", weight, ` · reasoning of ${many(pair.length, "token")} · `,
      many(negatives.length, "negative"), pair.browses && ` · opened ${pair.browses} times`, pair.split && ` · ${pair.split}`, pair.judge && ` · judged by ${pair.judge}`),
    el("p", { class: "soft" }, "query “", el("bdi", {}, pair.query), "” of ", el("a", { href: place.link(pair.search_turn) }, `turn ${pair.search_turn}`)),
    negatives.length > 0 && el("details", {}, el("summary", {}, "negatives"), el("p", { class: "text soft" }, negatives.map(({ docid, kind }) => (kind ? `${docid} (${kind})` : docid)).join(", "))));
};

lrat.run.step = (step, place) => {
  const { el, many, run } = lrat;
  const words = step.shared ? "in one message with the turn before" : step.words ? many(step.words, "word") + " of reasoning" : "no reasoning";
  return el("article", { class: `step ${step.action}`, id: `${place.side}-turn-${step.turn}`, tabindex: "-1", "data-turn": step.turn },
    el("h3", {}, el("a", { href: place.link(step.turn), title: "link to this turn" }, `Turn ${step.turn}`), ` ${step.action} `, el("span", { class: "soft" }, words)),
    step.reasoning && run.text(step.reasoning, "reasoning"),
    step.action === "browse" && run.browse(step, place),
    run.lists(step, place),
    step.error && el("p", { class: "error text" }, step.error),
    step.observation && el("details", { class: "observation" }, el("summary", {}, `what the agent was shown (${many(step.observation.trim().split(/\s+/).length, "word")})`), el("div", { class: "text" }, step.observation)),
    (step.pairs ?? []).map((pair) => run.pair(pair, place)));
};

lrat.run.evidence = (page, place) => {
  const { el, mark } = lrat;
  if (!page.evidence) return lrat.meta.evidence && el("p", { class: "soft" }, "No document is judged relevant to this question.");
  const at = (word, turn) => (turn === undefined ? mark(`never ${word}`, "plain") : el("a", { class: "mark opened", href: place.link(turn) }, `${word} at turn ${turn}`));
  return el("details", { class: "evidences" },
    el("summary", {}, `Evidence: ${page.evidence.filter((one) => one.listed !== undefined).length} listed and ${page.evidence.filter((one) => one.opened !== undefined).length} opened of ${page.evidence.length}`),
    el("ul", {}, page.evidence.map((one) => el("li", {}, one.title && `${one.title} `, el("span", { class: "soft" }, one.docid), " ", at("listed", one.listed), " ", at("opened", one.opened)))));
};

lrat.run.summary = (record, page, place) => {
  const { el, many } = lrat;
  const sampling = Object.entries(page.sampling ?? {}).map(([name, value]) => `${name.replace("_", " ")} ${value}`).join(", ");
  const facts = [
    ["answer", page.answer || "none"],
    ["expected", page.gold],
    ["agent", [page.agent, page.agent_revision?.slice(0, 7), sampling].filter(Boolean).join(" · ")],
    ["retriever", [page.retriever, page.retriever_revision?.slice(0, 7)].filter(Boolean).join(" · ")],
    ["steps", `${many(record.steps, "step")}: ${many(record.searches, "search", "searches")}, ${record.browses} opened${record.invalid ? `, ${record.invalid} invalid` : ""}; ${many(record.words, "word")} of reasoning`],
    ["run", record.address],
  ].filter(([, value]) => value);
  return [
    el("p", { class: "marks" }, lrat.outcome(record.outcome), record.status !== "completed" && lrat.mark(record.status, "plain")),
    el("dl", {}, facts.map(([name, value]) => [el("dt", {}, name), el("dd", { class: "text" }, value)])),
    lrat.run.evidence(page, place),
  ];
};

lrat.run.openedBy = (page) => new Set(page.steps.filter((step) => step.action === "browse" && !step.failed).map((step) => step.docid));

lrat.run.section = (record, page, place) =>
  lrat.el("section", { class: "run", "data-side": place.side },
    lrat.run.summary(record, page, place),
    page.steps.map((step) => lrat.run.step(step, place)),
    !page.steps.length && lrat.el("p", { class: "soft" }, "This run has no steps."));

// Links to the other runs of the question, once the whole index is there.
lrat.run.others = async (record, place) => {
  await lrat.whole;
  const { el } = lrat;
  const others = lrat.othersOf(record);
  if (!others.length) return place.replaceChildren(el("span", { class: "soft" }, "This question has no other run here."));
  const shown = others.slice(0, 50).map((run) => el("a", { class: "mark plain", href: lrat.link({ run: record.address, with: run.address }) },
    `${lrat.OUTCOMES[run.outcome]}, ${lrat.many(run.steps, "step")}${run.retriever && run.retriever !== record.retriever ? `, ${run.retriever}` : ""}`));
  place.replaceChildren(el("span", { class: "soft" }, "Compare with "), ...shown, others.length > 50 ? ` and ${others.length - 50} more` : "");
};

// Shows a run, with another one beside it if there is one.
lrat.run.show = (main, [record, beside], [page, second]) => {
  const { el, run } = lrat;
  const place = (side, other) => ({
    side,
    other: other && run.openedBy(other),
    link: (turn) => lrat.link({ run: record.address, with: beside?.address, side: side === "b" ? "b" : undefined, turn }),
  });
  const compare = el("p", { class: "compare" });
  const head = [el("p", { class: "back" }, el("a", { href: "#" }, "← all runs")), el("h1", { class: (page.question ?? "").length > 160 ? "text long" : "text" }, page.question || "(no question)"), compare];
  const sections = [run.section(record, page, place("a", second))];
  if (second) {
    sections.push(run.section(beside, second, place("b", page)));
    compare.append(el("a", { class: "mark plain", href: lrat.link({ run: record.address }) }, "the first alone"), el("a", { class: "mark plain", href: lrat.link({ run: beside.address }) }, "the second alone"));
    const tabs = ["first", "second"].map((name, at) => el("button", { type: "button", "aria-pressed": at === 0 ? "true" : "false", onclick: () => run.side(main, at ? "b" : "a") }, `the ${name} run`));
    head.push(el("p", { class: "sides" }, tabs));
  } else {
    run.others(record, compare).catch(() => {});
  }
  main.className = second ? "two" : "one";
  main.dataset.side = "a";
  main.replaceChildren(...head, el("div", { class: "columns" }, sections));
};

// Which of two runs a narrow screen shows.
lrat.run.side = (main, side) => {
  main.dataset.side = side;
  main.querySelectorAll(".sides button").forEach((button, at) => button.setAttribute("aria-pressed", String((side === "b") === (at === 1))));
};
