"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MARKS = { place: "◆", call: "●", note: "○" };
  const SIGNS = { found: "", placeholder: "!", missing: "×", unread: "?" };
  const WORDS = { found: "found", placeholder: "a placeholder stands in for it", missing: "missing", unread: "not read" };
  const MANY = 36; // parameters that are shown without being asked for
  const root = document.documentElement;
  const panel = document.getElementById("panel");
  const details = document.getElementById("details");
  const wide = matchMedia("(min-width: 1100px)");

  // Text enters the page through textContent only, so that no name of a release can become markup.
  function make(tag, { text, ...attributes } = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  const textOf = (number) => (number === null ? null : data.texts[number]);

  function breakable(text) {
    const parts = [];
    for (const part of text.split(/(?<=[._])/)) parts.push(part, document.createElement("wbr"));
    return parts;
  }

  // ---- theme
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("mixprec-theme"); } catch { /* a file may have no storage */ }
  const themeButton = document.getElementById("theme");
  function paintTheme() {
    const theme = chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
    root.dataset.theme = theme;
    themeButton.textContent = theme === "dark" ? "Light" : "Dark";
    themeButton.setAttribute("aria-label", theme === "dark" ? "Use light colours" : "Use dark colours");
  }
  themeButton.addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("mixprec-theme", chosen); } catch { /* kept for this visit only */ }
    paintTheme();
  });
  dark.addEventListener("change", paintTheme);
  paintTheme();

  // ---- facts of a cell
  function stateOf(engine, row, at) {
    const number = row.cells[at];
    return number < 0 ? { status: "unread" } : engine.states[number];
  }
  function previousRead(row, at) {
    let before = at - 1;
    while (before >= 0 && row.cells[before] < 0) before -= 1;
    return before;
  }
  // A run ends where something changed, and where a release was not read: what it has is not known.
  function runOf(row, at) {
    let first = at;
    let last = at;
    while (first > 0 && !row.changes[first] && row.cells[first - 1] >= 0) first -= 1;
    while (last + 1 < row.cells.length && !row.changes[last + 1] && row.cells[last + 1] >= 0) last += 1;
    return [first, last];
  }
  const wordsOf = ([, sign, number, remark]) => sign + textOf(number) + remark;
  function importLine(state) {
    return state.module != null && state.name != null ? `from ${textOf(state.module)} import ${textOf(state.name)}` : null;
  }

  // ---- tables
  const cells = []; // per engine, per row: buttons
  const rowsOf = [];
  const headsOf = [];
  const tables = document.getElementById("tables");
  document.getElementById("verdict").textContent =
    `${data.engines.map((each) => `${each.distribution} ${span(each)}`).join(", ")}: ${data.verdict}. Read by mixprec ${data.mixprec}.`;

  function span(engine) {
    const versions = engine.releases.map((each) => each.version);
    return versions.length === 1 ? versions[0] : `${versions[0]} to ${versions[versions.length - 1]}`;
  }
  const series = (version) => version.split(".").slice(0, 2).join(".");

  data.engines.forEach((engine, e) => {
    const columns = engine.releases.length;
    const head = make("tr", {}, make("th", { class: "corner", scope: "col", text: "Role" }));
    headsOf.push(engine.releases.map((release, at) => {
      const minor = at > 0 && series(release.version) !== series(engine.releases[at - 1].version);
      const kind = `${minor ? "minor" : ""} ${engine.rows.length && engine.rows[0].cells[at] < 0 ? "bad" : ""}`.trim();
      const told = release.faults.length ? { title: release.faults.join("; ") } : {};
      const cell = make("th", { scope: "col", class: kind, ...told }, make("span", { text: release.version }));
      head.append(cell);
      return cell;
    }));
    const colgroup = make("colgroup", {}, make("col", { class: "first" }));
    for (let at = 0; at < columns; at += 1) colgroup.append(make("col", { class: "release" }));
    const table = make("table", {},
      make("caption", { class: "hidden", text: `Roles of ${engine.distribution} by release. Arrow keys move between cells.` }),
      colgroup, make("thead", {}, head));
    // Columns keep their widths only in a table that has one; few of them may be wider.
    const width = (column) => `calc(var(--first) + ${columns} * ${column} + 0.75rem)`;
    table.style.width = `max(${width("var(--column)")}, min(100%, ${width("4rem")}))`;
    let body = null;
    cells.push([]);
    rowsOf.push([]);
    engine.rows.forEach((row, r) => {
      const group = engine.groups.find((each) => each.first === r);
      if (group) {
        body = make("tbody", {}, make("tr", { class: "group" }, make("th", { scope: "rowgroup", text: group.title }),
          make("td", { colspan: columns })));
        table.append(body);
      }
      const line = make("tr", {}, make("th", { scope: "row" }, ...breakable(row.role)));
      // The newest release always has the full shade; counted from there, it turns at each change.
      const steps = row.cells.map((_, at) => (row.changes[at] && row.changes[at].weight !== "note" ? 1 : 0));
      let turns = steps.reduce((sum, step) => sum + step, 0);
      cells[e].push(engine.releases.map((release, at) => {
        const state = stateOf(engine, row, at);
        const change = row.changes[at];
        const starts = at === 0 || (change && change.weight !== "note") || (row.cells[at] < 0) !== (row.cells[at - 1] < 0);
        const next = row.changes[at + 1];
        const ends = at + 1 === columns || (next && next.weight !== "note") || (row.cells[at] < 0) !== (row.cells[at + 1] < 0);
        turns -= steps[at];
        const look = state.status === "found" ? "ab"[turns % 2] : state.status;
        const sign = state.status === "found" ? (change ? MARKS[change.weight] : "") : starts ? SIGNS[state.status] : "";
        const bar = make("span", { class: `bar ${look}${starts ? " start" : ""}${ends ? " end" : ""}`, "aria-hidden": "true", text: sign });
        const button = make("button", { type: "button", tabindex: "-1", "aria-pressed": "false",
          "aria-label": label(engine, row, at, state) }, bar);
        button.place = { e, r, at };
        const minor = headsOf[e][at].classList.contains("minor");
        line.append(make("td", minor ? { class: "minor" } : {}, button));
        return button;
      }));
      rowsOf[e].push(line);
      body.append(line);
    });
    if (cells[e].length) cells[e][0][columns - 1].tabIndex = 0;
    const found = engine.rows.filter((row) => stateOf(engine, row, columns - 1).status === "found").length;
    const area = make("div", { class: "area" }, table);
    tables.append(make("section", { "aria-label": engine.distribution },
      make("h2", {}, engine.distribution, make("small", {
        text: `${columns} release${columns === 1 ? "" : "s"}, newest has ${found} of ${engine.rows.length} roles` })),
      engine.rows.length ? area : make("ul", { class: "note" }, ...engine.releases.flatMap((release) =>
        release.faults.map((fault) => make("li", { text: `${release.version}: ${fault}` }))))));
    area.scrollLeft = area.scrollWidth; // the newest releases first
  });

  function label(engine, row, at, state) {
    const change = row.changes[at];
    const words = change ? `; ${change.words.slice(0, 3).map(wordsOf).join("; ")}` : "";
    const more = change && change.words.length > 3 ? `; and ${change.words.length - 3} more changes` : "";
    return `${row.role}, ${engine.distribution} ${engine.releases[at].version}: ${WORDS[state.status]}${words}${more}`;
  }

  // ---- details
  let shown = null;
  let pinned = false;

  function mark(place, on) {
    if (!place) return;
    const { e, r, at } = place;
    headsOf[e][at].classList.toggle("on", on);
    rowsOf[e][r].classList.toggle("on", on);
    cells[e][r][at].setAttribute("aria-pressed", String(on && pinned));
  }
  function show(place) {
    mark(shown, false);
    shown = place;
    mark(shown, true);
    details.replaceChildren(...(place ? describe(place) : overview()));
    panel.scrollTop = 0;
  }
  function open(place) {
    pinned = place !== null;
    show(place);
    panel.classList.toggle("open", pinned);
    document.body.classList.toggle("sheet", pinned && !wide.matches);
    const hash = place ? `#${[data.engines[place.e].distribution, data.engines[place.e].rows[place.r].role,
      data.engines[place.e].releases[place.at].version].map(encodeURIComponent).join("/")}` : "";
    if (pinned && !wide.matches) {
      // The sheet must not lie on the cell that it tells of.
      const over = cells[place.e][place.r][place.at].getBoundingClientRect().bottom + panel.offsetHeight + 16 - innerHeight;
      if (over > 0) window.scrollBy(0, over);
    }
    try { history.replaceState(null, "", hash || location.pathname + location.search); } catch { /* not in every viewer */ }
  }

  function describe({ e, r, at }) {
    const engine = data.engines[e];
    const row = engine.rows[r];
    const release = engine.releases[at];
    const state = stateOf(engine, row, at);
    const change = row.changes[at];
    const [first, last] = runOf(row, at);
    const parts = [
      make("h2", {}, ...breakable(row.role)),
      make("p", { class: "where", text: `${engine.distribution} ${release.version}${release.uploaded ? `, ${release.uploaded.slice(0, 10)}` : ""}` }),
      make("p", { class: "chip" }, make("span", { class: `bar ${state.status === "found" ? "a" : state.status}`, "aria-hidden": "true", text: SIGNS[state.status] }),
        make("span", { text: `${WORDS[state.status]}${state.status === "unread" ? "" : runWords(engine, first, last)}` })),
    ];
    const line = importLine(state);
    if (line) parts.push(make("h3", { text: "Import" }), make("pre", { text: line }));
    const note = (title, number) => {
      if (number != null) parts.push(make("h3", { text: title }), make("code", { text: textOf(number) }));
    };
    note("Only if", state.condition);
    note("Defined in", state.defined);
    if (change) parts.push(make("h3", { text: `Changed since ${engine.releases[previousRead(row, at)].version}` }), changeList(change));
    if (state.status === "found") parts.push(...signatureOf(engine, row, at, state, change));
    note("Call by keyword", state.call);
    for (const fault of release.faults) parts.push(make("h3", { text: "Fault of the release" }), make("code", { text: fault }));
    if (state.tried && state.tried.length) {
      parts.push(make("h3", { text: "Tried" }), make("ul", { class: "tried" }, ...state.tried.map(([path, fault]) =>
        make("li", {}, make("code", { text: textOf(path) }), make("br"), make("span", { text: textOf(fault) ?? "" })))));
    }
    if (release.filename) parts.push(make("h3", { text: "Read from" }), make("code", { text: release.filename }));
    return parts;
  }
  function runWords(engine, first, last) {
    const [from, to] = [engine.releases[first].version, engine.releases[last].version];
    if (first === last) return ", like this in this release only";
    return last + 1 === engine.releases.length ? `, like this since ${from}` : `, like this from ${from} to ${to}`;
  }
  function changeList(change) {
    return make("ul", { class: "changes" }, ...change.words.map((each) =>
      make("li", {}, make("i", { text: MARKS[each[0]], "aria-hidden": "true" }), make("code", { text: wordsOf(each) }))));
  }
  function signatureOf(engine, row, at, state, change) {
    if (!state.parameters.length) return [];
    const before = previousRead(row, at);
    const former = change && before >= 0 ? stateOf(engine, row, before) : null;
    const known = former && former.status === "found" ? new Set(former.parameters) : null;
    const words = state.parameters.map((number) => {
      const fresh = known !== null && !known.has(number) && !["*", "/"].includes(textOf(number));
      return make("span", { class: fresh ? "word new" : "word", text: `${textOf(number)},` });
    });
    const all = state.parameters.filter((number) => !["*", "/"].includes(textOf(number))).length;
    const block = make("pre", { class: "signature" }, make("span", { text: `${textOf(state.name)}(` }));
    const fresh = words.filter((word) => word.classList.contains("new"));
    if (words.length > MANY) {
      const kept = new Set([...words.slice(0, 12), ...fresh]);
      const more = make("button", { type: "button", text: `Show all ${all} parameters` });
      more.addEventListener("click", () => block.replaceChildren(block.firstChild, ...words, block.lastChild));
      block.append(...words.filter((word) => kept.has(word)), more);
    } else {
      block.append(...words);
    }
    block.append(make("span", { text: ")" }));
    return [make("h3", { text: `Signature, ${all} parameter${all === 1 ? "" : "s"}` }), block];
  }

  function overview() {
    const counts = make("dl", { class: "counts" });
    for (const engine of data.engines) {
      const newest = engine.releases.length - 1;
      const found = engine.rows.filter((row) => stateOf(engine, row, newest).status === "found").length;
      counts.append(make("dt", { text: `${engine.distribution} ${engine.releases[newest].version}` }),
        make("dd", { text: engine.rows.length ? `${found} of ${engine.rows.length} roles found` : "not read" }));
    }
    const parts = [make("h2", { text: "Newest releases" }), make("h3", { text: "" }), counts];
    if (data.lost.length) {
      parts.push(make("h3", { text: "Lost on the way" }), make("ul", { class: "lost" }, ...data.lost.map((lost) => {
        const link = make("button", { class: "link", type: "button", text: lost.text });
        link.addEventListener("click", () => go(find(lost.distribution, lost.role, lost.version)));
        return make("li", {}, link);
      })));
    }
    parts.push(make("h3", { text: "Reading the table" }), make("p", { class: "hint",
      text: "Point at a cell for its import line and signature, click to keep it, Esc to let go. Arrow keys move; with Ctrl they jump to the next change." }));
    return parts;
  }

  // ---- pointing, clicking, keys
  const cellOf = (event) => (event.target instanceof Element ? event.target.closest("td button") : null);
  tables.addEventListener("pointerover", (event) => {
    const button = cellOf(event);
    if (button && !pinned && event.pointerType === "mouse" && wide.matches) show(button.place);
  });
  tables.addEventListener("click", (event) => {
    const button = cellOf(event);
    if (!button) return;
    rove(button);
    open(pinned && shown === button.place ? null : button.place);
  });
  tables.addEventListener("focusin", (event) => {
    const button = cellOf(event);
    if (!button || !button.matches(":focus-visible")) return;
    if (pinned) open(button.place); else if (wide.matches) show(button.place);
  });
  tables.addEventListener("keydown", (event) => {
    const button = cellOf(event);
    if (!button) return;
    const { e, r, at } = button.place;
    const row = data.engines[e].rows[r];
    const last = row.cells.length - 1;
    let to = null;
    const sideways = (step) => {
      let next = at + step;
      if (event.ctrlKey || event.metaKey) while (next > 0 && next < last && !row.changes[next]) next += step;
      return cells[e][r][Math.min(Math.max(next, 0), last)];
    };
    const upwards = (step) => {
      let next = r + step;
      while (next >= 0 && next < cells[e].length && rowsOf[e][next].hidden) next += step;
      return cells[e][next] ? cells[e][next][at] : button;
    };
    if (event.key === "ArrowLeft") to = sideways(-1);
    else if (event.key === "ArrowRight") to = sideways(1);
    else if (event.key === "ArrowUp") to = upwards(-1);
    else if (event.key === "ArrowDown") to = upwards(1);
    else if (event.key === "Home") to = cells[e][r][0];
    else if (event.key === "End") to = cells[e][r][last];
    if (!to) return;
    event.preventDefault();
    rove(to);
    to.focus();
    reveal(to);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && pinned) open(null); });
  document.getElementById("close").addEventListener("click", () => {
    const from = shown;
    open(null);
    if (from) cells[from.e][from.r][from.at].focus({ preventScroll: true });
  });

  function rove(button) {
    const { e } = button.place;
    for (const line of cells[e]) for (const each of line) each.tabIndex = -1;
    button.tabIndex = 0;
  }
  // The sticky head and first column hide what lies beneath them.
  function reveal(button) {
    const area = button.closest(".area");
    const table = area.firstElementChild;
    const corner = table.querySelector("th.corner").getBoundingClientRect();
    const box = button.getBoundingClientRect();
    const frame = area.getBoundingClientRect();
    if (box.left < corner.right) area.scrollLeft -= corner.right - box.left + 8;
    if (box.right > frame.right - 8) area.scrollLeft += box.right - frame.right + 16;
    if (box.top < corner.bottom) area.scrollTop -= corner.bottom - box.top + 4;
    if (box.bottom > frame.bottom) area.scrollTop += box.bottom - frame.bottom + 8;
  }
  function find(distribution, role, version) {
    const e = data.engines.findIndex((each) => each.distribution === distribution);
    if (e < 0) return null;
    const r = data.engines[e].rows.findIndex((each) => each.role === role);
    const at = data.engines[e].releases.findIndex((each) => each.version === version);
    return r < 0 || at < 0 ? null : cells[e][r][at];
  }
  function go(button) {
    if (!button) return;
    rove(button);
    const section = button.closest("section");
    const box = section.getBoundingClientRect();
    if (box.top > innerHeight / 2 || box.bottom < innerHeight / 2) section.scrollIntoView();
    reveal(button);
    open(button.place);
  }

  // ---- filter
  const haystacks = data.engines.map((engine) => engine.rows.map((row) => {
    const words = new Set([row.role, engine.distribution]);
    for (const number of new Set(row.cells)) {
      const state = number < 0 ? null : engine.states[number];
      if (state && state.name !== null) words.add(textOf(state.name)).add(textOf(state.module));
    }
    return [...words].join("\n").toLowerCase();
  }));
  const count = document.getElementById("count");
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase().split(/\s+/);
    let left = 0;
    data.engines.forEach((engine, e) => {
      rowsOf[e].forEach((line, r) => {
        line.hidden = !wanted.every((word) => haystacks[e][r].includes(word));
        if (!line.hidden) left += 1;
      });
      const section = tables.children[e];
      for (const body of section.querySelectorAll("tbody")) {
        body.firstElementChild.hidden = [...body.children].slice(1).every((line) => line.hidden);
      }
      section.hidden = engine.rows.length > 0 && rowsOf[e].every((line) => line.hidden);
    });
    count.textContent = `${left} row${left === 1 ? "" : "s"} shown`;
  });

  show(null);
  const wanted = location.hash.slice(1).split("/").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
  if (wanted.length === 3) go(find(...wanted));
})();
