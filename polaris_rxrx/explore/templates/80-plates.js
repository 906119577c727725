// Plates: a score at every well, controls marked; one plate, or the mean over many at each place.
const Plates = (() => {
  const { make, draw, bdi, fixed, known, table, count, fileName } = Pieces;
  const { own, doc } = Data;
  const held = doc.plates;
  const SHOWN = 200;

  const letters = (row) => (row < 26 ? "" : String.fromCharCode(64 + Math.floor(row / 26))) + String.fromCharCode(65 + (row % 26));
  const address = (place) => `${letters(Math.floor(place / held.columns))}${String((place % held.columns) + 1).padStart(2, "0")}`;

  let starts = null;
  function offsets() {
    if (starts) return starts;
    let well = 0;
    let list = 0;
    starts = {
      wells: held.plates.map((plate) => (well += plate.n_wells) - plate.n_wells),
      lists: held.batches.map((batch) => (list += batch.n_content) - batch.n_content),
    };
    return starts;
  }

  async function show(link, go) {
    const head = make("h2", { tabindex: -1 }, "Plates");
    if (!held) return { title: "Plates", parts: [head, Pieces.missing("plates", "Plates")] };
    const batch = held.batches.findIndex((b) => b.name === link.parts[0]);
    const own_ = held.plates.map((plate, i) => ({ ...plate, i })).filter((plate) => batch < 0 || plate.batch === batch);
    const plate = batch < 0 ? null : own_.find((p) => p.name === link.parts[1]) || null;
    const score = Math.max(0, held.scores.findIndex((s) => s.key === link.query.get("score")));
    const address_ = (parts, key) => Links.to("plates", parts, { score: key ?? held.scores[score].key });
    const where = batch < 0 ? [] : plate ? [held.batches[batch].name, plate.name] : [held.batches[batch].name];
    const controls = make("div", { class: "controls" },
      Pieces.select("Score", held.scores.map((s, i) => [i, s.title]), score, (value) => go(address_(where, held.scores[value].key), true)),
      Pieces.select("Experiment", [[-1, "All: mean at each well"], ...held.batches.map((b, i) => [i, b.name])], batch, (value) => go(address_(Number(value) < 0 ? [] : [held.batches[value].name, held.plates.find((p) => p.batch === Number(value)).name]), true)),
      batch >= 0 ? Pieces.select("Plate", [[-1, "All: mean at each well"], ...own_.map((p) => [p.i, p.name])], plate ? plate.i : -1, (value) => go(address_(Number(value) < 0 ? [held.batches[batch].name] : [held.batches[batch].name, held.plates[value].name]), true)) : null);
    const chosen = plate ? [plate] : own_;
    return { title: "Plates", parts: [head, controls, ...await body(chosen, Boolean(plate), score, where, go)] };
  }

  // The wells of plates at each place: {place, mean, n, control, text, row}.
  async function gather(plates, score) {
    const [places, content, list, levels] = await Data.blocks("plate_place", "plate_content", "plate_list", `plate_score_${score}`);
    const { low, high } = held.scores[score];
    const step = (high - low) / (held.levels - 1);
    const found = new Map();
    for (const plate of plates) {
      const start = offsets().wells[plate.i];
      const lists = offsets().lists[plate.batch];
      for (let i = start; i < start + plate.n_wells; i++) {
        if (!found.has(places[i])) found.set(places[i], { place: places[i], sum: 0, n: 0, control: 0, wells: 0, entry: -1 });
        const well = found.get(places[i]);
        well.entry = list[lists + content[i]];
        well.wells += 1;
        if (well.entry >= Data.n && held.control[well.entry - Data.n]) well.control += 1;
        if (levels[i]) { well.sum += low + (levels[i] - 1) * step; well.n += 1; }
      }
    }
    return [...found.values()].sort((a, b) => a.place - b.place).map((w) => ({ ...w, value: w.n ? w.sum / w.n : NaN }));
  }

  const holds = (entry) => (entry < Data.n ? `${Data.name(entry)}${Data.dose(entry) === null ? "" : ` ${Pieces.dose(Data.dose(entry))}`}` : held.labels[entry - Data.n]);

  async function body(plates, single, score, where, go) {
    const wells = await gather(plates, score);
    const { title: name, about, low, high } = held.scores[score];
    const range = single ? [low, high] : limits(wells, low, high);
    const title = `${name}: ${single ? `${where[0]}, plate ${where[1]}` : `mean over ${Pieces.plural(plates.length, "plate", "plates")}${where.length ? ` of ${where[0]}` : ""}`}`;
    const made = heat(wells, title, range, single);
    const at = new Map(wells.map((well) => [well.place, well]));
    const told = make("p", { class: "cursor", role: "status" }, `Point at a well, or move with the arrow keys${single ? "; Enter or a click opens what it holds" : ""}.`);
    const figure = Pieces.figure({ title, about: `${about}. Dots mark ${single ? "control wells" : "places that hold a control on half of the plates or more"}; colors end at the outer ${single ? "0.5% of all wells" : "1% of what is shown"}.`, drawn: made.drawn, file: fileName("plate", ...where, held.scores[score].key) });
    const read = (i, j) => {
      const well = at.get(i * held.columns + j);
      const place = address(i * held.columns + j);
      if (!well) return `${place}: no well`;
      if (!single) return `${place}: mean ${fixed(well.value)} of ${Pieces.plural(well.n, "well", "wells")}`;
      return `${place}: ${holds(well.entry)}${well.control ? " (control)" : ""}, ${fixed(well.value)}`;
    };
    Cursor.on(figure.querySelector(".plot"), made, held.rows, held.columns, (i, j) => { told.textContent = read(i, j); }, (i, j) => {
      const well = at.get(i * held.columns + j);
      if (single && well && well.entry < Data.n) go(Links.ofRow(well.entry));
    });
    const columns = [
      { head: "Well", key: "well", left: true, value: (w) => address(w.place) },
      single && { head: "Holds", key: "holds", left: true, value: (w) => holds(w.entry), show: (w) => (w.entry < Data.n ? make("a", { href: Links.ofRow(w.entry) }, bdi(holds(w.entry))) : bdi(holds(w.entry))) },
      single && { head: "Control", key: "control", left: true, value: (w) => (w.control ? "control" : "") },
      { head: name, key: held.scores[score].key, value: (w) => (known(w.value) ? +w.value.toFixed(4) : null), show: (w) => fixed(w.value) },
      !single && { head: "Wells", key: "wells", value: (w) => w.n },
    ].filter(Boolean);
    return [make("div", {}, figure, told), make("div", { class: "two" }, rings(wells, name),
      wellTable(wells, columns, fileName("wells", ...where, held.scores[score].key)))];
  }

  function wellTable(wells, columns, file) {
    const many = wells.length > SHOWN;
    const all = many ? { label: "CSV of all wells", take: () => Pieces.saveCsv(file, columns, wells) } : null;
    return table({ caption: many ? `Wells: the first ${SHOWN} of ${count(wells.length)}` : "Wells", columns, rows: wells.slice(0, SHOWN), tall: true, file, all });
  }

  function limits(wells, low, high) {
    const values = wells.map((w) => w.value).filter(known).sort((a, b) => a - b);
    if (values.length < 2) return [low, high];
    return [values[Math.floor(values.length * 0.01)], values[Math.ceil(values.length * 0.99) - 1]];
  }

  function heat(wells, title, [low, high], single) {
    const width = Pieces.room(860);
    const edge = 26;
    const size = Math.max(5, Math.floor((width - edge - 4) / held.columns));
    const top = 20;
    const whole = edge + size * held.columns + 4;
    const height = top + size * held.rows + 52;
    const skip = Math.ceil(18 / size);
    const cells = wells.map((well) => {
      const [i, j] = [Math.floor(well.place / held.columns), well.place % held.columns];
      const share = (well.value - low) / (high - low || 1);
      const [x, y] = [edge + j * size, top + i * size];
      const cell = draw("rect", { x, y, width: size - 0.5, height: size - 0.5, fill: known(well.value) ? Pieces.evenColor(share) : "var(--grid)" });
      if (!well.control || (!single && well.control < well.wells / 2)) return cell;
      return [cell, draw("circle", { cx: x + size / 2, cy: y + size / 2, r: Math.max(1.2, size / 5), fill: share > 0.55 ? "#000000" : "#ffffff", stroke: share > 0.55 ? "#ffffff" : "#000000", "stroke-width": 0.4 })];
    });
    const marker = draw("rect", { width: size, height: size, fill: "none", stroke: "var(--focus)", "stroke-width": 2.5, visibility: "hidden" });
    const text = (x, y, value, anchor) => draw("text", { x, y, "text-anchor": anchor, "font-size": 10, fill: "var(--muted)" }, value);
    const colors = Array.from({ length: 40 }, (_, k) => Pieces.evenColor(k / 39));
    const drawn = Pieces.svg(Math.max(whole, 260), height, title,
      draw("rect", { x: edge, y: top, width: size * held.columns, height: size * held.rows, fill: "var(--panel)" }),
      Array.from({ length: held.columns }, (_, j) => (j % skip ? null : text(edge + (j + 0.5) * size, top - 6, String(j + 1), "middle"))),
      Array.from({ length: held.rows }, (_, i) => (i % skip ? null : text(edge - 4, top + (i + 0.5) * size + 3.5, letters(i), "end"))),
      cells, marker, Axes.bar(edge, height - 28, 200, colors, [[0, fixed(low, 2)], [1, fixed(high, 2)]], null));
    return { drawn, marker, edge, top, size };
  }

  // Effects of edges: means by the distance from the nearest edge of the plate.
  function rings(wells, name) {
    const found = new Map();
    for (const well of wells) {
      if (!known(well.value)) continue;
      const [i, j] = [Math.floor(well.place / held.columns), well.place % held.columns];
      const ring = Math.min(4, i, j, held.rows - 1 - i, held.columns - 1 - j);
      if (!found.has(ring)) found.set(ring, { ring, sum: 0, n: 0 });
      const own_ = found.get(ring);
      own_.sum += well.sum;
      own_.n += well.n;
    }
    const words = ["Outermost", "Second", "Third", "Fourth", "Inside of these"];
    const rows = [...found.values()].sort((a, b) => a.ring - b.ring);
    return table({ caption: "By distance from the plate's edge", file: "plate-rings", rows, columns: [
      { head: "Ring", key: "ring", left: true, value: (r) => words[r.ring] },
      { head: "Mean", key: "mean", about: name, value: (r) => +(r.sum / r.n).toFixed(5), show: (r) => fixed(r.sum / r.n) },
      { head: "Wells", key: "wells", value: (r) => r.n, show: (r) => count(r.n) },
    ] });
  }

  return { show };
})();
