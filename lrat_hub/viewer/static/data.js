"use strict";

// Data come as scripts: a page that is opened from a file may load nothing else.
const lrat = { meta: null, runs: [], byAddress: new Map(), namesakes: new Map(), loading: new Map(), kept: new Map() };

// How many files of runs stay in memory. A file has about a megabyte.
lrat.KEPT = 12;

// Called by the files of data.
lrat.take = (name, value) => lrat.loading.get(name).taken(value);

// The value of a file in data/, without the ending.
lrat.load = (name) => {
  const known = lrat.loading.get(name);
  if (known) return known.promise;
  const entry = {};
  entry.promise = new Promise((taken, failed) => {
    entry.taken = taken;
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onload = () => {
      script.remove();
      // It has given its value by now, unless it is cut off.
      failed(new Error(`data/${name}.js beside this page is damaged.`));
    };
    script.onerror = () => failed(new Error(`data/${name}.js is missing beside this page.`));
    document.head.append(script);
  }).finally(() => lrat.loading.delete(name));
  lrat.loading.set(name, entry);
  return entry.promise;
};

// A text in plain. Those of questions that are published obfuscated are stored as they are published.
lrat.plain = (value) => {
  if (typeof value === "string") return value;
  const key = value.key.match(/../g).map((two) => parseInt(two, 16));
  const bytes = Uint8Array.from(atob(value.text), (char, at) => char.charCodeAt(0) ^ key[at % key.length]);
  return new TextDecoder().decode(bytes);
};

// What leads to a run in this page: its id, with a number when an earlier run has the same one.
lrat.addressOf = (id) => {
  // Half a surrogate pair has no place in an address.
  const name = String(id || "(no id)").replace(/\p{Surrogate}/gu, "\ufffd");
  let address = name;
  let count = lrat.namesakes.get(name) ?? 1;
  while (lrat.byAddress.has(address)) address = `${name} (${++count})`;
  lrat.namesakes.set(name, count);
  return address;
};

// The columns of a file of the index become records of runs, after those that are there.
lrat.addRuns = (columns) => {
  const names = Object.keys(columns);
  for (let at = 0; at < columns.id.length; at++) {
    const run = { number: lrat.runs.length };
    for (const name of names) run[name] = columns[name][at];
    run.question = lrat.plain(run.question);
    run.steps = run.searches + run.browses;
    for (const [name, values] of Object.entries(lrat.meta.facets)) run[name] = values[run[name]][0];
    run.sought = `${run.question}\n${run.id}`.toLowerCase();
    lrat.runs.push(run);
    run.address = lrat.addressOf(run.id);
    lrat.byAddress.set(run.address, run);
  }
};

// Loads what lists need: the first part, and then the others behind `onPart`. `lrat.whole` ends with the last one.
lrat.start = async (onPart) => {
  const [meta, first] = await Promise.all([lrat.load("meta"), lrat.load("index/0")]);
  lrat.meta = meta;
  lrat.addRuns(first[0]);
  const parts = Math.ceil(meta.runs / meta.chunk);
  lrat.whole = (async () => {
    let coming = parts > 1 && lrat.load("index/1");
    for (let part = 1; part < parts; part++) {
      const [columns] = await coming;
      // The next one comes while this one is read.
      coming = part + 1 < parts && lrat.load(`index/${part + 1}`);
      lrat.addRuns(columns);
      onPart();
    }
  })();
  lrat.whole.catch(() => {});
};

// The record of a run by its address; undefined when there is none.
lrat.find = async (address) => {
  if (!lrat.byAddress.has(address)) await lrat.whole;
  return lrat.byAddress.get(address);
};

// The other runs of a question: logs may number each attempt at it as a question of its own.
lrat.othersOf = (record) => lrat.runs.filter((run) => run !== record &&
  ((record.group && run.group === record.group) || (record.question && run.question === record.question)));

// Everything about a run.
lrat.open = async (run) => {
  const runs = lrat.kept.get(run.file) ?? (await lrat.load(`runs/${run.file}`));
  // The ones that were looked at last stay.
  lrat.kept.delete(run.file);
  lrat.kept.set(run.file, runs);
  if (lrat.kept.size > lrat.KEPT) lrat.kept.delete(lrat.kept.keys().next().value);
  const value = runs[run.place] ?? {};
  const page = "key" in value ? JSON.parse(lrat.plain(value)) : value;
  // The index was loaded earlier than the run.
  if (!page.steps || (page.id ?? run.id) !== run.id) throw new Error("This page was written anew while it was open: load it again.");
  return page;
};

// An element. Texts become text nodes: nothing that a run says is ever read as HTML.
lrat.el = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return element;
};

lrat.mark = (text, kind, title) => lrat.el("span", { class: `mark ${kind}`, title }, text);

lrat.OUTCOMES = { correct: "right", incorrect: "wrong", unjudged: "undecided" };

lrat.outcome = (outcome) => lrat.mark(lrat.OUTCOMES[outcome] ?? outcome, outcome);

lrat.many = (count, noun, plural = `${noun}s`) => `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;

// The address of a run, of a turn in it, and of the run beside it.
lrat.link = (parts) => {
  const given = Object.entries(parts).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#${given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
};
