// Most similar and most opposite, for one row; and its cosines against the null of all pairs.
const Similar = (() => {
  const { make, draw, bdi, fixed, percentile, known, table, figure, fileName } = Pieces;
  const { own } = Data;

  function meter(cosine, most) {
    const share = Math.min(50, (Math.abs(cosine) / most) * 50);
    const bar = make("i", { class: cosine < 0 ? "under" : null });
    bar.style.left = `${cosine < 0 ? 50 - share : 50}%`;
    bar.style.width = `${share}%`;
    return make("span", { class: "meter", "aria-hidden": "true" }, bar);
  }

  function label(row) {
    return make("a", { href: Links.ofRow(row) }, bdi(Data.name(row)));
  }

  // Columns of a table whose rows are {row, cosine, rank, of, beyond, at (percentile), known}.
  function columns(type, most, { doses = true } = {}) {
    const dosed = type === Data.COMPOUND && doses;
    return [
      { head: Data.words[type] === "gene" ? "Gene" : "Compound", key: "name", left: true, value: (r) => Data.name(r.row), show: (r) => label(r.row) },
      dosed && { head: "Dose", key: "concentration_uM", value: (r) => Data.dose(r.row), show: (r) => Pieces.dose(Data.dose(r.row)) },
      { head: "Cosine", key: "cosine", value: (r) => (known(r.cosine) ? +r.cosine.toFixed(5) : r.cosine), show: (r) => [known(r.cosine) ? meter(r.cosine, most) : null, fixed(r.cosine)] },
      { head: "Rank", key: "rank", about: "1 is the highest cosine", value: (r) => r.rank },
      { head: "Percentile", key: "percentile", about: "Share of all pairs of these types whose cosine is lower", value: (r) => (known(r.at) ? +r.at.toFixed(5) : r.at), show: (r) => percentile(r.at) },
      own.p && { head: "Activity p", key: "activity_p", about: "p of its wells against control wells", value: (r) => own.p[r.row], show: (r) => Known.activity(r.row) },
      { head: "Known", key: "known", left: true, value: (r) => Known.text(r.known), show: (r) => Known.tags(r.known) },
      { head: "Wells", key: "wells", quiet: true, value: (r) => own.wells[r.row] || null },
      { head: "Beyond", key: "beyond", quiet: true, value: (r) => (known(r.beyond) ? +r.beyond.toPrecision(6) : null) },
    ].filter(Boolean);
  }

  function entry(ranked, i, pairs, facts, type) {
    const row = ranked.rows[i];
    const cosine = ranked.cosines[i];
    return { row, cosine, rank: ranked.rank(i), of: ranked.of, beyond: Maths.beyond(pairs, cosine),
      at: Maths.percentile(pairs, cosine), known: facts.of(type, own.name[row]) };
  }

  async function ranked(row, type) {
    const near = await Maths.nearBlocks();
    const [quantiles] = await Data.blocks("null_cosine");
    return { list: Maths.ranked(row, type, near), pairs: Maths.nullOf(quantiles, own.type[row], type) };
  }

  // ---- the figure: a subject's cosines as a distribution, over the null -------------------------------------
  function shape(values, edges) {
    const counts = new Array(edges.length - 1).fill(0);
    const step = edges[1] - edges[0];
    for (const value of values) {
      const at = Math.floor((value - edges[0]) / step);
      if (at >= 0 && at < counts.length) counts[at] += 1;
    }
    return counts.map((c) => c / (values.length || 1) / step);
  }

  function distribution(row, type, list, pairs, facts) {
    const width = Pieces.room(620);
    const [left, right, top, bottom, height] = [14, width - 14, 62, 190, 232];
    const ends = [pairs.q[0], pairs.q[pairs.q.length - 1], ...list.cosines];
    const most = Math.min(1, Math.max(...ends.map(Math.abs).filter(known)) * 1.05) || 1;
    const edges = Array.from({ length: 71 }, (_, i) => -most + (2 * most * i) / 70);
    const nulls = edges.slice(1).map((edge, i) => (Maths.below(pairs, edge, true) - Maths.below(pairs, edges[i], true)) / (edge - edges[i]));
    const mine = shape(list.cosines, edges);
    const x = Axes.linear(-most, most, left, right);
    const y = Axes.linear(0, Math.max(...nulls, ...mine) || 1, bottom, top);
    const outline = (heights) => heights.flatMap((h, i) => [[x(edges[i]), y(h)], [x(edges[i + 1]), y(h)]]);
    const filled = [[left, bottom], ...outline(nulls), [right, bottom]];
    const marked = [...list.rows].map((other, i) => ({ other, cosine: list.cosines[i], known: facts.of(type, own.name[other]) }))
      .filter(({ known: k }) => k.sources.length || (known(k.nM) && Known.isTarget(k.nM)));
    const said = `Cosines of ${Data.name(row)} with all ${Data.words[type]}s beside those of all pairs`;
    const made = Pieces.svg(width, height, said,
      Axes.across(x, Axes.ticks(-most, most, width < 420 ? 4 : 8), left, right, top, bottom, "Cosine"),
      draw("path", { d: Axes.path(filled) + "Z", fill: "var(--grid)" }),
      draw("path", { d: Axes.path(outline(mine)), fill: "none", stroke: "var(--c0)", "stroke-width": 1.6 }),
      marks(marked, x, top, bottom, width), key(left));
    return { made, said, marked };
  }

  // Known ones as ticks; the outermost have their names, where there is room.
  function marks(list, x, top, bottom, width) {
    const ordered = [...list].sort((a, b) => Math.abs(b.cosine) - Math.abs(a.cosine));
    const taken = [];
    const names = [];
    for (const { other, cosine } of ordered.slice(0, 40)) {
      const text = Data.name(other).slice(0, 14);
      const half = text.length * 3.4 + 4;
      const middle = Math.min(width - half, Math.max(half, x(cosine)));
      const level = [0, 1].find((k) => taken.every(([l, from, to]) => l !== k || middle + half < from || middle - half > to));
      if (level === undefined || names.length >= 12) continue;
      taken.push([level, middle - half, middle + half]);
      names.push(draw("text", { x: middle, y: top - 8 - 13 * level, "text-anchor": "middle", fill: "var(--c2)", "font-size": 11 }, text));
    }
    return draw("g", {}, ordered.map(({ cosine }) => draw("line", { x1: x(cosine), x2: x(cosine), y1: top - 4, y2: bottom, stroke: "var(--c2)", "stroke-opacity": 0.55 })), names);
  }

  function key(left) {
    return draw("g", { "font-size": 11 },
      draw("rect", { x: left, y: 6, width: 14, height: 10, fill: "var(--grid)" }), draw("text", { x: left + 19, y: 15, fill: "var(--muted)" }, "All pairs"),
      draw("line", { x1: left + 82, x2: left + 96, y1: 11, y2: 11, stroke: "var(--c0)", "stroke-width": 1.6 }), draw("text", { x: left + 101, y: 15, fill: "var(--muted)" }, "This one"),
      draw("line", { x1: left + 166, x2: left + 166, y1: 5, y2: 17, stroke: "var(--c2)" }), draw("text", { x: left + 172, y: 15, fill: "var(--muted)" }, "Known"));
  }

  // The section: figure, two tables, all ranks.
  async function section(row, type, facts, top) {
    const began = performance.now();
    const { list, pairs } = await ranked(row, type);
    Similar.took = performance.now() - began;
    if (!list.of) return make("p", { class: "missing" }, `There is no ${Data.words[type]} with a vector to compare with.`);
    const n = list.rows.length;
    const half = Math.min(top, Math.ceil(n / 2));
    const first = Array.from({ length: half }, (_, i) => entry(list, i, pairs, facts, type));
    const last = Array.from({ length: Math.min(top, n - half) }, (_, i) => entry(list, n - 1 - i, pairs, facts, type));
    const most = Math.max(0.05, ...[...first, ...last].map((r) => Math.abs(r.cosine)));
    const file = fileName(Data.name(row), Data.words[type]);
    const all = { label: Data.own.vectors ? "CSV of all ranks" : "CSV of all that are kept", take: () => Pieces.saveCsv(`${file}-all`, columns(type, most),
      Array.from({ length: n }, (_, i) => entry(list, i, pairs, facts, type))) };
    const whole = `${Pieces.count(list.of)} ${type === Data.GENE ? "genes" : "compounds at their concentrations"}`;
    const parts = [make("div", { class: "two" },
      table({ caption: `Most similar of ${whole}`, columns: columns(type, most), rows: first, file: `${file}-similar`, all }),
      table({ caption: `Most opposite of ${whole}`, columns: columns(type, most), rows: last, file: `${file}-opposite` }))];
    const beside = [...new Set([row, ...first.slice(0, 12).map((r) => r.row), ...last.slice(0, 6).map((r) => r.row)].map(Data.name))];
    parts.push(make("p", {}, make("a", { href: Links.to("list", [beside]) }, "Heat map of the nearest and farthest"), " \u00b7 ",
      make("a", { href: Links.to("map", [], { at: Data.name(row) }) }, "Where it is on the map")));
    if (pairs && Data.own.vectors) {
      const { made, said } = distribution(row, type, list, pairs, facts);
      parts.push(figure({ title: said, drawn: made, file: `${file}-null`,
        about: `The gray ground is the null: cosines of ${Pieces.count(pairs.n)} pairs of these types. A percentile says how much of it lies lower.` }));
    }
    return parts;
  }

  return { section, columns, ranked, entry, took: null };
})();
