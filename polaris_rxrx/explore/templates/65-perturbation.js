// The page of one gene or compound.
const Perturbation = (() => {
  const { make, draw, bdi, fixed, known, table, figure, facts, plural, fileName } = Pieces;
  const { own, doc } = Data;

  async function show(link, go) {
    const type = Data.words.indexOf(link.view);
    const name = Data.index(link.parts[0] ?? "");
    const rows = name === undefined ? [] : Data.rowsOf(type, name);
    if (!rows.length) return unknown(link, type);
    const asked = link.query.get("dose");
    const row = rows.find((r) => String(Data.dose(r)) === asked) ?? rows[rows.length - 1];
    const beside = link.query.get("beside") === "compounds" ? Data.COMPOUND : link.query.get("beside") === "genes" || Data.count(type) < 2 ? Data.GENE : type === Data.GENE ? Data.GENE : Data.GENE;
    const state = { dose: asked, beside: link.query.get("beside"), gene: link.query.get("gene"), top: link.query.get("top") };
    const change = (part) => go(Links.ofName(type, name, { ...state, ...part }), true);
    const known_ = await Known.of(type, name);
    const parts = [make("h2", { tabindex: -1 }, bdi(Data.names[name]), Pieces.kind(type)), head(type, name, row, rows), Links.out(type, name)];
    if (type === Data.COMPOUND) parts.push(...await compound(name, row, rows, state, change));
    parts.push(...await similar(row, beside, known_, state, change));
    parts.push(...await pairs(type, name, row, known_));
    if (type === Data.GENE) parts.push(...await guides(name));
    return { title: Data.names[name], parts };
  }

  function unknown(link, type) {
    const text = link.parts[0] ?? "";
    const { best } = Search.find(text);
    return { title: "Not found", parts: [
      make("h2", { tabindex: -1 }, "Not on this page"),
      make("p", {}, `There is no ${Data.words[type]} called `, bdi(text), best.length ? "; near it:" : "."),
      make("ul", {}, best.map((entry) => make("li", {}, Links.name(entry.type, entry.name), " ", Pieces.kind(entry.type)))),
    ] };
  }

  function head(type, name, row, rows) {
    const wells = rows.reduce((sum, r) => sum + own.wells[r], 0);
    const aliases = Data.aliases.filter(([, at]) => at === name && type === Data.GENE).map(([other]) => other);
    return facts([
      type === Data.COMPOUND && ["Concentrations", String(rows.length)],
      ["Replicate wells", wells ? Pieces.count(type === Data.COMPOUND ? own.wells[row] : wells) : Pieces.DASH,
        type === Data.COMPOUND && wells ? `of ${Pieces.count(wells)} in all` : null],
      own.p && ["Activity p", Known.activity(row), known(own.map[row]) ? `mAP ${fixed(own.map[row])}, corrected ${Pieces.chance(own.q[row])}` : null],
      aliases.length && ["Also called", aliases.join(", ")],
      !Data.there(row) && ["Vector", "none"],
    ]);
  }

  async function compound(name, row, rows, state, change) {
    const [drawn] = await Data.blocks("structures");
    const parts = [];
    const own_ = drawn && drawn.find(([at]) => at === name);
    const picture = own_ ? make("img", { class: "structure", width: doc.structures.width, height: doc.structures.height,
      alt: `Structure of ${Data.names[name]}`, src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(own_[1])}` })
      : make("p", { class: "small" }, drawn ? "No structure that can be drawn." : `No structures: ${Data.why("structures")}.`);
    const columns = [
      { head: "Concentration", key: "concentration_uM", value: (r) => Data.dose(r), show: (r) => make("a", { href: Links.ofRow(r, { ...state, dose: Data.dose(r) }), "aria-current": r === row ? "true" : null }, Pieces.dose(Data.dose(r))) },
      { head: "Wells", key: "wells", value: (r) => own.wells[r] || null },
      own.p && { head: "Activity mAP", key: "activity_map", value: (r) => own.map[r], show: (r) => fixed(own.map[r]) },
      own.p && { head: "Activity p", key: "activity_p", value: (r) => own.p[r], show: (r) => Known.activity(r) },
      own.p && { head: "Corrected", key: "activity_q", value: (r) => own.q[r], show: (r) => Pieces.chance(own.q[r]) },
    ].filter(Boolean);
    const takes = own_ ? Pieces.takes(fileName(Data.names[name], "structure"), `Structure of ${Data.names[name]}`, () => parsed(own_[1])) : null;
    parts.push(make("div", { class: "beside" }, make("div", {}, picture, takes),
      table({ caption: "Concentrations", columns, rows, file: fileName(Data.names[name], "concentrations") })));
    const wanted = state.gene && Data.index(state.gene);
    const gene = wanted !== undefined && wanted !== null && Data.rowsOf(Data.GENE, wanted).length ? wanted : undefined;
    parts.push(...await Dose.section(name, gene, (g) => change({ gene: Data.names[g] })));
    return parts;
  }

  // The structure as an element, for export; it was drawn for a light ground.
  function parsed(text) {
    const figure_ = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
    const [, , width, height] = figure_.getAttribute("viewBox").split(" ");
    figure_.prepend(draw("rect", { width, height, fill: "#ffffff" }));
    return figure_;
  }

  async function similar(row, beside, known_, state, change) {
    const parts = [make("h3", {}, `Most similar and most opposite${own.type[row] === Data.COMPOUND && Data.dose(row) !== null ? ` at ${Pieces.dose(Data.dose(row))}` : ""}`)];
    if (!Data.there(row)) return [...parts, make("p", { class: "missing" }, "This row has no vector, and so no cosine with anything.")];
    const rows = Data.rowsOf(own.type[row], own.name[row]);
    const top = Number(state.top) || 15;
    parts.push(make("div", { class: "controls" },
      Pieces.choices("Compare with", [["genes", "Genes"], ["compounds", "Compounds"]], beside === Data.GENE ? "genes" : "compounds", (value) => change({ beside: value })),
      rows.length > 1 ? Pieces.select("Concentration", rows.map((r) => [Data.dose(r), Pieces.dose(Data.dose(r))]), Data.dose(row), (value) => change({ dose: value })) : null,
      Pieces.select("Rows a table", [[15, "15"], [50, "50"], [200, "200"]], top, (value) => change({ top: value }))));
    return [...parts, ...[await Similar.section(row, beside, known_, top)].flat()];
  }

  // ---- what is known, wherever it stands ------------------------------------------------------------------
  async function pairs(type, name, row, known_) {
    const parts = [make("h3", {}, "Known relations and targets")];
    if (type === Data.GENE && Data.why("relations")) parts.push(Pieces.missing("relations", "Known relations"));
    if (Data.why("targets")) parts.push(Pieces.missing("targets", "Annotated targets"));
    if (Data.there(row) && known_.related.size) parts.push(await related(row, known_));
    if (known_.bound.size) parts.push(bound(type, name, row, known_));
    return parts.length > 1 ? parts : [...parts, make("p", { class: "small" }, "None that is on this page.")];
  }

  async function related(row, known_) {
    const { list, pairs: null_ } = await Similar.ranked(row, Data.GENE);
    const entries = [...list.rows].map((_, i) => i).filter((i) => known_.related.has(own.name[list.rows[i]]))
      .map((i) => Similar.entry(list, i, null_, known_, Data.GENE));
    return table({ caption: `Known relations: ${plural(known_.related.size, "gene", "genes")}`, tall: entries.length > 15, file: fileName(Data.name(row), "relations"),
      columns: Similar.columns(Data.GENE, Math.max(0.05, ...entries.map((e) => Math.abs(e.cosine)))), rows: entries,
      note: Data.own.vectors ? null : "Only those among the nearest and farthest, which are all that this page keeps." });
  }

  // Annotated pairs: the cosine with the largest size over a compound's concentrations, and where.
  function bound(type, name, row, known_) {
    const rows = [...known_.bound].map(([other, nM]) => {
      const [compoundName, gene] = type === Data.COMPOUND ? [name, other] : [other, name];
      const best = Dose.curve(compoundName, gene, null).filter((p) => known(p.cosine)).reduce((a, b) => (a && Math.abs(a.cosine) >= Math.abs(b.cosine) ? a : b), null);
      return { other, nM, best, row: best ? best.row : null, gene, compound: compoundName };
    }).sort((a, b) => a.nM - b.nM);
    const otherType = 1 - type;
    const columns = [
      { head: otherType === Data.GENE ? "Gene" : "Compound", key: "name", left: true, value: (r) => Data.names[r.other], show: (r) => Links.name(otherType, r.other) },
      { head: "Affinity", key: "nM", value: (r) => +r.nM.toPrecision(6), show: (r) => Known.potency(r.nM) },
      { head: "Class", key: "class", left: true, value: (r) => Known.word(r.nM), show: (r) => make("span", { class: Known.isTarget(r.nM) ? "tag target" : "tag" }, Known.word(r.nM)) },
      { head: "Largest cosine", key: "cosine", about: "Of the largest size over all concentrations", value: (r) => (r.best ? +r.best.cosine.toFixed(5) : null), show: (r) => fixed(r.best && r.best.cosine) },
      { head: "at", key: "concentration_uM", value: (r) => r.best && r.best.dose, show: (r) => Pieces.dose(r.best ? r.best.dose : null) },
      own.p && { head: "Activity p", key: "activity_p", value: (r) => (r.best ? own.p[r.row] : null), show: (r) => (r.best ? Known.activity(r.row) : Pieces.DASH) },
      { head: "Curve", key: "curve", value: () => null, show: (r) => make("a", { href: Links.ofName(Data.COMPOUND, r.compound, { gene: Data.names[r.gene] }), "aria-label": `Dose curve of ${Data.names[r.compound]} and ${Data.names[r.gene]}` }, "dose curve") },
    ].filter(Boolean);
    return table({ caption: type === Data.COMPOUND ? "Annotated genes" : "Annotated compounds", columns, rows, tall: rows.length > 15, file: fileName(Data.names[name], "targets"),
      note: `A target binds at ${Pieces.count(doc.targets.active)} nM or below; above ${Pieces.count(doc.targets.inactive)} nM a pair counts as inactive.` });
  }

  // ---- guides ------------------------------------------------------------------------------------------------
  async function guides(gene) {
    const parts = [make("h3", {}, "Guides")];
    const [of, suffix, wells, other, cosine] = await Data.blocks("guide_gene", "guide_suffix", "guide_wells", "guide_other", "guide_cosine");
    if (!of) return [...parts, Pieces.missing("guides", "Guides")];
    let start = 0;
    let at = 0;
    while (at < of.length && of[at] < gene) {
      let end = at;
      while (end < of.length && of[end] === of[at]) end += 1;
      start += ((end - at) * (end - at - 1)) / 2;
      at = end;
    }
    const list = [];
    for (let i = at; i < of.length && of[i] === gene; i++) list.push({ name: Data.names[gene] + doc.guides.suffixes[suffix[i]], wells: wells[i], other: Maths.asCosine(other[i]) });
    if (!list.length) return [...parts, make("p", { class: "small" }, "This gene has wells of one guide alone.")];
    const g = list.length;
    const between = (i, j) => (i === j ? 1 : Maths.asCosine(cosine[start + Math.min(i, j) * g - (Math.min(i, j) * (Math.min(i, j) + 1)) / 2 + Math.abs(i - j) - 1]));
    const all = list.flatMap((_, i) => list.slice(i + 1).map((__, k) => between(i, i + 1 + k))).filter(known);
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    const title = `Cosines among the guides of ${Data.names[gene]}`;
    return [...parts, make("p", {}, `${g} guides; the mean cosine of two of them is ${fixed(mean)}.`), make("div", { class: "two" },
      table({ caption: "Guides and their agreement", file: fileName(Data.names[gene], "guides"), rows: list, columns: [
        { head: "Guide", key: "guide", left: true, value: (r) => r.name, show: (r) => bdi(r.name) },
        { head: "Wells", key: "wells", value: (r) => r.wells },
        { head: "Cosine with the others", key: "cosine_others", about: "With the mean of all wells of the gene's other guides", value: (r) => (known(r.other) ? +r.other.toFixed(5) : null), show: (r) => fixed(r.other) },
      ] }),
      figure({ title, about: "Rows and columns are in the table's order.", drawn: Heat.matrix(list.map((r) => r.name.slice(Data.names[gene].length) || r.name), between, { title, most: Math.max(0.2, ...all.map(Math.abs)), size: 38, write: true }).drawn,
        file: fileName(Data.names[gene], "guides") }))];
  }

  return { show };
})();
