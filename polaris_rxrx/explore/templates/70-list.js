// A pasted list: a heat map of cosines in the order of the page's average linkage, and the complexes in the list.
const List = (() => {
  const { make, bdi, fixed, known, table, count, plural } = Pieces;
  const { own, doc } = Data;
  const MOST = 120;

  let folded = null;
  // A name as it was typed -> indices of names, by the page's own spelling, then by any case, then by an alias.
  function lookup(text) {
    const exact = Data.index(text);
    if (exact !== undefined) return exact;
    if (!folded) {
      folded = new Map();
      for (const [other, name] of Data.aliases) folded.set(other.toLowerCase(), name);
      Data.names.forEach((name, i) => folded.set(name.toLowerCase(), i));
    }
    return folded.get(text.toLowerCase());
  }

  // Lines, or parts of them between commas, semicolons, tabs and, at last, blanks.
  function parse(text) {
    const found = [];
    const lost = [];
    const take = (part, parters) => {
      const name = part.trim();
      const at = lookup(name);
      if (at !== undefined) found.push(at);
      else if (!parters.length) lost.push(name);
      else for (const piece of name.split(parters[0])) if (piece.trim()) take(piece, parters.slice(1));
    };
    for (const line of text.split(/\r?\n/)) if (line.trim()) take(line, [/[,;\t]/, /\s+/]);
    return { names: [...new Set(found)], lost };
  }

  // Names of a link, each of which is whole.
  function split(given) {
    const at = given.map(lookup);
    return { names: [...new Set(at.filter((name) => name !== undefined))], lost: given.filter((_, i) => at[i] === undefined) };
  }

  function rowsOf(names, doses) {
    const rows = [];
    for (const name of names) {
      const genes = Data.rowsOf(Data.GENE, name);
      const compounds = Data.rowsOf(Data.COMPOUND, name);
      rows.push(...genes, ...(doses === "all" ? compounds : compounds.slice(-1)));
    }
    return rows;
  }

  async function show(link, go) {
    const given = link.raw[0] ? link.raw[0].split(",").map(link.plain) : [];
    const text = given.join("\n");
    const { names, lost } = split(given);
    const state = { order: link.query.get("order"), doses: link.query.get("doses"), outline: link.query.get("outline") };
    const change = (part) => go(Links.to("list", [names.map((n) => Data.names[n])], { ...state, ...part }), true);
    const parts = [make("h2", { tabindex: -1 }, "List and heat map"), form(text, state, go)];
    if (lost.length) parts.push(make("p", { class: "missing" }, `Not on this page: `, lost.slice(0, 20).map((name, i) => [i ? ", " : "", bdi(name)]), lost.length > 20 ? `, and ${lost.length - 20} more` : "", "."));
    if (names.length) parts.push(...await body(names, state, change));
    return { title: names.length ? `List of ${names.length}` : "List", parts };
  }

  function form(text, state, go) {
    const area = make("textarea", { id: "list", spellcheck: "false", placeholder: "BRAF\nRAF1\nSorafenib" });
    area.value = text;
    const submit = (event) => {
      event.preventDefault();
      const parts = area.value.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
      const { names, lost } = parse(parts.join("\n"));
      go(Links.to("list", [[...names.map((n) => Data.names[n]), ...lost]], state));
      if (!names.length && !lost.length) Pieces.say("The list is empty.");
    };
    return make("form", { onsubmit: submit }, make("p", {}, make("label", { for: "list" }, "Genes or compounds, one a line or with commas between them")),
      make("p", {}, area), make("p", {}, make("button", { type: "submit" }, "Show")));
  }

  async function body(names, state, change) {
    const whole = rowsOf(names, state.doses);
    const there = whole.filter(Data.there);
    const rows = there.slice(0, MOST);
    const parts = [];
    if (whole.length > there.length) parts.push(make("p", { class: "small" }, `${plural(whole.length - there.length, "row has", "rows have")} no vector and ${whole.length - there.length === 1 ? "is" : "are"} left out.`));
    if (there.length > MOST) parts.push(make("p", { class: "small" }, `The heat map has the first ${MOST} of ${count(there.length)} rows.`));
    if (state.order !== "given") {
      const [order] = await Data.blocks("order");
      const place = new Uint32Array(Data.n);
      order.forEach((row, i) => { place[row] = i; });
      rows.sort((a, b) => place[a] - place[b]);
    }
    if (rows.length > 1) parts.push(...await heat(rows, state, change));
    else parts.push(make("p", {}, "Two rows with vectors are needed for a heat map."));
    parts.push(...await complexes(names));
    return parts;
  }

  const label = (row) => (Data.dose(row) === null ? Data.name(row) : `${Data.name(row)} ${+Data.dose(row).toPrecision(3)}`);

  async function cosines(rows) {
    if (own.vectors) return (i, j) => Maths.dot(rows[i], rows[j]);
    const near = await Maths.nearBlocks();
    const held = rows.map((row) => Data.types.map((_, type) => Maths.ranked(row, type, near).all));
    return (i, j) => held[i][own.type[rows[j]]].get(rows[j]) ?? held[j][own.type[rows[i]]].get(rows[i]) ?? NaN;
  }

  async function facts(rows) {
    const genes = rows.filter((row) => own.type[row] === Data.GENE).map((row) => own.name[row]);
    const related = await Known.among(genes);
    const bound = new Map();
    for (const name of new Set(rows.filter((row) => own.type[row] === Data.COMPOUND).map((row) => own.name[row]))) bound.set(name, await Known.targets(Data.COMPOUND, name));
    return (a, b) => {
      if (own.type[a] === Data.GENE && own.type[b] === Data.GENE) {
        const [first, second] = [own.name[a], own.name[b]].sort((x, y) => x - y);
        return { sources: related.get(`${first},${second}`) || [], nM: NaN };
      }
      if (own.type[a] === own.type[b]) return { sources: [], nM: NaN };
      const [compound, gene] = own.type[a] === Data.COMPOUND ? [a, b] : [b, a];
      const nM = bound.get(own.name[compound]).get(own.name[gene]);
      return { sources: [], nM: nM === undefined ? NaN : nM };
    };
  }

  async function heat(rows, state, change) {
    const cosine = await cosines(rows);
    const fact = await facts(rows);
    const n = rows.length;
    const flat = new Float64Array(n * n);
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) flat[i * n + j] = flat[j * n + i] = cosine(i, j);
    const sources = doc.relations ? doc.relations.sources.map((s) => s.name) : [];
    const related = (f) => (state.outline ? f.sources.includes(state.outline) : f.sources.length > 0);
    const outline = (i, j) => {
      const f = fact(rows[i], rows[j]);
      return related(f) ? "--ink" : known(f.nM) && Known.isTarget(f.nM) ? "--c2" : null;
    };
    const names = rows.map(label);
    const title = `Cosines of ${n} rows`;
    const size = Math.max(5, Math.min(28, Math.floor((Pieces.room(1210) - 110) / n)));
    const made = Heat.matrix(names, (i, j) => flat[i * n + j], { title, most: Heat.end([...flat].filter(Boolean)), size, outline,
      legend: [["--ink", state.outline || "Known relation"], ["--c2", "Annotated target"]] });
    const told = make("p", { class: "cursor", role: "status" }, "Point at a cell, or move with the arrow keys.");
    const figure = Pieces.figure({ title, drawn: made.drawn, file: "heat-map",
      about: state.order === "given" ? "In the order given." : "In the order of an average linkage of the whole map by cosine." });
    const read = (i, j) => {
      const f = fact(rows[i], rows[j]);
      return `${names[i]} and ${names[j]}: ${i === j ? "the same row" : `cosine ${fixed(flat[i * n + j])}`}${Known.text(f) ? `; ${Known.text(f)}` : ""}`;
    };
    Cursor.on(figure.querySelector(".plot"), made, n, n, (i, j) => { told.textContent = read(i, j); });
    const controls = make("div", { class: "controls" },
      Pieces.choices("Order", [["linkage", "Average linkage"], ["given", "As given"]], state.order === "given" ? "given" : "linkage", (value) => change({ order: value === "given" ? value : null })),
      rows.some((row) => own.type[row] === Data.COMPOUND) ? Pieces.choices("Compounds at", [["highest", "Highest dose"], ["all", "All doses"]], state.doses === "all" ? "all" : "highest", (value) => change({ doses: value === "all" ? value : null })) : null,
      sources.length ? Pieces.select("Outlined relations", [["", "Any source"], ...sources.map((s) => [s, s])], state.outline || "", (value) => change({ outline: value || null })) : null);
    const beside = n <= 20 ? "two" : null;
    return [controls, make("div", { class: beside }, make("div", {}, figure, told), pairTable(rows, flat, fact))];
  }

  function pairTable(rows, flat, fact) {
    const n = rows.length;
    const pairs = [];
    for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) pairs.push({ a: rows[i], b: rows[j], cosine: flat[i * n + j] });
    pairs.sort((x, y) => Math.abs(y.cosine) - Math.abs(x.cosine) || 0);
    const columns = [
      { head: "First", key: "first", left: true, value: (p) => label(p.a), show: (p) => make("a", { href: Links.ofRow(p.a) }, bdi(label(p.a))) },
      { head: "Second", key: "second", left: true, value: (p) => label(p.b), show: (p) => make("a", { href: Links.ofRow(p.b) }, bdi(label(p.b))) },
      { head: "Cosine", key: "cosine", value: (p) => (known(p.cosine) ? +p.cosine.toFixed(5) : null), show: (p) => fixed(p.cosine) },
      { head: "Known", key: "known", left: true, value: (p) => Known.text(fact(p.a, p.b)), show: (p) => Known.tags(fact(p.a, p.b)) },
    ];
    const first = pairs.slice(0, 50);
    return table({ caption: first.length < pairs.length ? `The ${first.length} pairs with the largest cosines of ${count(pairs.length)}` : "All pairs", columns, rows: first, tall: first.length > 12, file: "pairs",
      all: { label: "CSV of all pairs", take: () => Pieces.saveCsv("pairs-all", columns, pairs) } });
  }

  async function complexes(names) {
    const parts = [make("h3", {}, "Enriched complexes")];
    const [sets] = await Data.blocks("complexes");
    if (!sets) return [...parts, Pieces.missing("complexes", "Complexes")];
    const genes = names.filter((name) => !Data.names[name].endsWith("_control") && Data.rowsOf(Data.GENE, name).some(Data.there));
    if (!genes.length) return [...parts, make("p", { class: "small" }, "No gene of the list is on the map.")];
    const rows = Maths.enrichment(genes, sets, doc.complexes.n_background);
    const columns = [
      { head: "Set", key: "set", left: true, value: (s) => s.name, show: (s) => bdi(s.name) },
      { head: "Shared", key: "n_shared", value: (s) => s.shared.length },
      { head: "Size", key: "n_set", value: (s) => s.size },
      { head: "Expected", key: "expected", value: (s) => s.expected, show: (s) => fixed(s.expected, 2) },
      { head: "p", key: "p_value", value: (s) => s.p, show: (s) => Pieces.chance(s.p) },
      { head: "Bonferroni", key: "p_bonferroni", value: (s) => s.bonferroni, show: (s) => Pieces.chance(s.bonferroni) },
      { head: "BH", about: "Benjamini and Hochberg", key: "p_adjusted", value: (s) => s.q, show: (s) => Pieces.chance(s.q) },
      { head: "Genes", key: "genes", left: true, value: (s) => s.shared.map((g) => Data.names[g]).join(" "), show: (s) => s.shared.map((g, i) => [i ? " " : "", Links.name(Data.GENE, g)]) },
    ];
    return [...parts, rows.length ? table({ caption: `Sets of ${doc.complexes.file} that share a gene with the list`, columns, rows: rows.slice(0, 100), file: "complexes", tall: rows.length > 15,
      note: `${plural(genes.length, "gene", "genes")} of the list; ${count(sets.length)} sets tested against the map's ${count(doc.complexes.n_background)} genes.` })
      : make("p", { class: "small" }, "No set shares a gene with the list.")];
  }

  return { show, parse, lookup };
})();
