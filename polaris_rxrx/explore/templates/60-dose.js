// A compound's cosine with a gene at every concentration: the row of the map, and the spread of its wells.
const Dose = (() => {
  const { make, draw, known, fixed, figure, table, fileName } = Pieces;
  const { own, doc } = Data;

  // Gene -> {target, at (place in the compound's pairs), rows: [[quantiles] a row, in the order of rows], means}.
  async function spreads(compound) {
    const [of, genes, target, cosine, means] = await Data.blocks("spread_compound", "spread_gene", "spread_target", "spread_cosine", "spread_mean");
    const found = new Map();
    if (!of) return found;
    const five = doc.spread.quantiles.length;
    let start = 0;
    for (let i = 0; i < of.length; i++) {
      const rows = Data.rowsOf(Data.COMPOUND, of[i]).length;
      if (of[i] === compound) {
        const quantiles = Array.from({ length: rows }, (_, r) => Array.from({ length: five }, (__, q) => {
          const whole = cosine[(start + r) * five + q];
          return whole === -128 ? NaN : whole / 127;
        }));
        found.set(genes[i], { target: Boolean(target[i]), quantiles, means: means ? Array.from({ length: rows }, (_, r) => Maths.asCosine(means[start + r])) : null });
      }
      start += rows;
    }
    return found;
  }

  // One entry a concentration, ascending: {row, dose, cosine, quantiles}.
  function curve(compound, gene, spread) {
    const rows = Data.rowsOf(Data.COMPOUND, compound);
    const place = [...rows].sort((a, b) => a - b);
    const [geneRow] = Data.rowsOf(Data.GENE, gene);
    return rows.map((row) => {
      const at = place.indexOf(row);
      const cosine = own.vectors ? Maths.dot(row, geneRow) : spread && spread.means ? spread.means[at] : NaN;
      return { row, dose: Data.dose(row), cosine, quantiles: spread ? spread.quantiles[at] : null };
    });
  }

  const values = (points) => points.flatMap((p) => [p.cosine, ...(p.quantiles || [])]).filter(known);
  // The middle 95% of the null, or nothing.
  function band(pairs) {
    if (!pairs) return null;
    const at = (share) => pairs.q[pairs.levels.findIndex((level) => level >= share)];
    return [at(0.025), at(0.975)];
  }

  function plot(points, pairs, width, height, range, title, small) {
    const [left, right, top, bottom] = small ? [34, width - 8, 24, height - 20] : [48, width - 12, 14, height - 44];
    const x = Axes.linear(0, Math.max(1, points.length - 1), left + 14, right - 14);
    const y = Axes.linear(range[0], range[1], bottom, top);
    const middle = band(pairs);
    const line = points.map((p, i) => [x(i), y(p.cosine)]).filter(([, at]) => known(at));
    const step = Math.max(1, Math.ceil((points.length * (small ? 26 : 40)) / (right - left)));
    const half = Math.min(9, (right - left) / points.length / 4);
    return Pieces.svg(width, height, title,
      middle ? draw("rect", { x: left, width: right - left, y: y(Math.min(range[1], middle[1])), height: y(Math.max(range[0], middle[0])) - y(Math.min(range[1], middle[1])), fill: "var(--panel)" }) : null,
      Axes.upward(y, Axes.ticks(range[0], range[1], small ? 3 : 5), left, right, small ? null : "Cosine", (top + bottom) / 2),
      points.map((p, i) => box(p, x(i), y, half)),
      draw("path", { d: Axes.path(line), fill: "none", stroke: "var(--c0)", "stroke-width": 2, "stroke-linejoin": "round" }),
      line.map(([cx, cy]) => draw("circle", { cx, cy, r: small ? 2.5 : 4, fill: "var(--c0)" })),
      points.map((p, i) => (i % step ? null : draw("text", { x: x(i), y: bottom + 15, "text-anchor": "middle", fill: "var(--muted)", "font-size": small ? 10 : 11 },
        p.dose === null ? Pieces.DASH : String(+p.dose.toPrecision(2))))),
      small ? draw("text", { x: left, y: 15, fill: "var(--ink)", "font-weight": 600 }, title.slice(0, 26))
        : draw("text", { x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle", fill: "var(--ink)" }, "Concentration (\u00b5M)"));
  }

  function box({ quantiles }, x, y, half) {
    if (!quantiles || !known(quantiles[2])) return null;
    const [low, first, median, third, high] = quantiles.map(y);
    return draw("g", { stroke: "var(--c1)", fill: "none" },
      draw("line", { x1: x, x2: x, y1: low, y2: high }),
      draw("rect", { x: x - half, width: 2 * half, y: third, height: Math.max(1, first - third), fill: "var(--paper)" }),
      draw("line", { x1: x - half, x2: x + half, y1: median, y2: median, "stroke-width": 2 }));
  }

  function rangeOf(list, pairs) {
    const all = [...list, ...(band(pairs) || []), 0];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const edge = (high - low) * 0.06 || 0.1;
    return [Math.max(-1.02, low - edge), Math.min(1.02, high + edge)];
  }

  // ---- the section of a compound's page --------------------------------------------------------------------
  async function section(compound, chosen, go) {
    const rows = Data.rowsOf(Data.COMPOUND, compound);
    const all = await spreads(compound);
    const bound = await Known.targets(Data.COMPOUND, compound);
    const pairs = Maths.nullOf((await Data.blocks("null_cosine"))[0], Data.COMPOUND, Data.GENE);
    const listed = [...all.keys()];
    for (const gene of [...bound.keys()].filter((g) => Known.isTarget(bound.get(g))).slice(0, 10)) if (!all.has(gene)) listed.push(gene);
    const gene = chosen ?? listed[0] ?? (own.vectors ? await nearest(rows) : undefined);
    const parts = [make("h3", { id: "dose-head" }, "Dose curve")];
    if (!own.vectors && !all.size) return [...parts, make("p", { class: "missing" }, "A page of each row's nearest and farthest alone has no dose curves, but for those of a model's wells (--model).")];
    if (gene === undefined) return [...parts, make("p", { class: "missing" }, "The map has no gene to compare with.")];
    const input = make("input", { type: "search", autocomplete: "off", placeholder: "Another gene", spellcheck: "false" });
    const label = make("label", {}, "Gene of the curve", input);
    parts.push(make("div", { class: "controls" }, label));
    Search.combobox(input, (entry) => go(entry.name), { type: Data.GENE, label: "Genes found" });
    parts.push(main(compound, gene, curve(compound, gene, all.get(gene)), pairs, bound, all.has(gene)));
    const others = listed.filter((other) => other !== gene).slice(0, 12);
    if (others.length) parts.push(...small(compound, others, all, bound, pairs, go));
    return parts;
  }

  async function nearest(rows) {
    const near = await Maths.nearBlocks();
    const { list } = { list: Maths.ranked(rows[rows.length - 1], Data.GENE, near) };
    return list.rows.length ? own.name[list.rows[0]] : undefined;
  }

  function main(compound, gene, points, pairs, bound, spread) {
    const title = `${Data.names[compound]} and ${Data.names[gene]} by concentration`;
    const width = Pieces.room(640);
    const drawn = plot(points, pairs, width, 300, rangeOf(values(points), pairs), title, false);
    const file = fileName(Data.names[compound], Data.names[gene], "dose");
    const quantiles = spread ? doc.spread.quantiles : [];
    const nM = bound.get(gene);
    const told = known(nM) ? ` Annotated: ${Known.word(nM)}, ${Known.potency(nM)}.` : "";
    const columns = [
      { head: "Concentration", key: "concentration_uM", value: (p) => p.dose, show: (p) => Pieces.dose(p.dose) },
      { head: "Cosine", key: "cosine", value: (p) => (known(p.cosine) ? +p.cosine.toFixed(5) : null), show: (p) => fixed(p.cosine) },
      ...quantiles.map((share, i) => ({ head: share === 0.5 ? "Median of wells" : `${Math.round(share * 100)}%`, quiet: share !== 0.5, key: `wells_q${Math.round(share * 100)}`, about: "Quantile of single wells' cosines",
        value: (p) => (known(p.quantiles[i]) ? +p.quantiles[i].toFixed(3) : null), show: (p) => fixed(p.quantiles[i], 2) })),
      own.p && { head: "Activity p", key: "activity_p", value: (p) => own.p[p.row], show: (p) => Known.activity(p.row) },
      { head: "Wells", key: "wells", value: (p) => own.wells[p.row] || null },
    ].filter(Boolean);
    const about = ["Dots are the map's rows (means of wells). ",
      spread ? "Boxes are single wells: median, middle half, 10% to 90%; a mean of wells lies farther out than they do. " : Data.why("spread") ? `No spread of wells: ${Data.why("spread")}. ` : "The spread of wells is kept for annotated targets and nearest genes alone. ",
      pairs ? "The shaded band holds 95% of all pairs of a compound and a gene." : "", told];
    return make("div", { class: "two" }, figure({ title, about: about.join(""), drawn, file }),
      table({ caption: title, columns, rows: points, file }));
  }

  function small(compound, others, all, bound, pairs, go) {
    const curves = others.map((gene) => curve(compound, gene, all.get(gene)));
    const range = rangeOf(curves.flatMap(values), pairs);
    return [make("p", { class: "small" }, all.size ? "Annotated targets and nearest genes, on one scale; choose one to see it whole:" : "Annotated targets, on one scale; choose one to see it whole:"),
      make("ul", { class: "grid" }, others.map((gene, i) => {
        const nM = bound.get(gene);
        const name = Data.names[gene] + (known(nM) && Known.isTarget(nM) ? ` (${Known.potency(nM)})` : "");
        return make("li", {}, make("button", { type: "button", onclick: () => go(gene), "aria-label": `Dose curve of ${name}` }, plot(curves[i], pairs, 240, 130, range, name, true)));
      }))];
  }

  return { section, curve, spreads };
})();
