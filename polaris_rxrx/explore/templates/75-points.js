// The whole map as points: a canvas that is moved, zoomed and looked at; what a lasso, a box or nearness selects.
const Points = (() => {
  const { make, draw, bdi, count, known, plural, table } = Pieces;
  const { own, doc } = Data;
  const HOME = { x: 0, y: 0, zoom: 1 };
  const NEAR = 9;  // pixels from a point that still mean it
  const view = { ...HOME };
  const state = { color: "type", complex: "", lasso: false, selected: null, marked: -1, told: "" };
  let at = null;  // x and y of each row, -1 to 1 (n, 2); NaN: none

  async function load() {
    const [points] = await Data.blocks("points");
    if (!points) return false;
    if (!at) {
      at = Float32Array.from(points, (v) => (v === -32768 ? NaN : v / 32767));
      const far = at.reduce((most, v) => (known(v) ? Math.max(most, Math.abs(v)) : most), 0.01);
      HOME.zoom = view.zoom = 0.95 / far;
    }
    return true;
  }

  // ---- colors ----------------------------------------------------------------------------------------------
  const least = 1e-4;
  const strength = (row) => (Known.tested(row) ? Math.min(1, Math.log10(Math.max(least, own.p[row])) / Math.log10(least)) : NaN);
  let members = new Set();

  function look(row) {
    if (state.color === "activity") return known(strength(row)) ? Pieces.evenColor(strength(row)) : "var(--line)";
    if (state.color === "complex") return members.has(own.name[row]) && own.type[row] === Data.GENE ? "var(--c3)" : "var(--line)";
    return own.type[row] === Data.GENE ? "var(--c0)" : "var(--c1)";
  }
  const above = (row) => (state.color === "complex" && members.has(own.name[row]) && own.type[row] === Data.GENE ? 1 : 0);

  async function choose(query) {
    state.color = ["type", "activity", "complex"].includes(query.get("color")) ? query.get("color") : "type";
    state.complex = query.get("complex") || "";
    const [sets] = await Data.blocks("complexes");
    const found = sets && sets.find(([name]) => name === state.complex);
    members = new Set(found ? found[1] : []);
    const mark = query.get("at");
    const name = mark === null ? undefined : Data.index(mark);
    state.marked = name === undefined ? -1 : [...Data.rowsOf(Data.GENE, name), ...Data.rowsOf(Data.COMPOUND, name).slice(-1)][0] ?? -1;
    return sets;
  }

  // ---- the stage -------------------------------------------------------------------------------------------
  function screen(width, height) {
    const unit = (Math.min(width, height) / 2) * view.zoom;
    return {
      unit, x: (v) => width / 2 + (v - view.x) * unit, y: (v) => height / 2 - (v - view.y) * unit,
      back: (px, py) => [view.x + (px - width / 2) / unit, view.y - (py - height / 2) / unit],
    };
  }
  const size = () => Math.max(1.8, Math.min(5.5, 1.6 + 60 / Math.sqrt(Data.n) + Math.log2(Math.max(1, view.zoom / HOME.zoom)) * 0.5));
  const order = () => Array.from({ length: Data.n }, (_, i) => i).filter((i) => known(at[2 * i])).sort((a, b) => above(a) - above(b) || own.type[b] - own.type[a] || a - b);

  function paint(canvas, drawnOrder) {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const style = getComputedStyle(document.documentElement);
    const colors = new Map();
    const plain = (name) => {
      if (!name.startsWith("var(")) return name;
      if (!colors.has(name)) colors.set(name, style.getPropertyValue(name.slice(4, -1)).trim());
      return colors.get(name);
    };
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const to = screen(width, height);
    axes(pen, to, width, height, plain);
    const r = size();
    const chosen = state.selected ? new Set(state.selected) : null;
    for (const row of drawnOrder) {
      const [x, y] = [to.x(at[2 * row]), to.y(at[2 * row + 1])];
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      pen.globalAlpha = chosen && !chosen.has(row) ? 0.22 : 0.85;
      pen.fillStyle = plain(look(row));
      const s = above(row) ? r * 1.7 : r;
      pen.beginPath();
      if (own.type[row] === Data.GENE) pen.arc(x, y, s, 0, 2 * Math.PI);
      else { pen.moveTo(x, y - s * 1.2); pen.lineTo(x + s * 1.2, y); pen.lineTo(x, y + s * 1.2); pen.lineTo(x - s * 1.2, y); pen.closePath(); }
      pen.fill();
    }
    pen.globalAlpha = 1;
    mark(pen, to, plain);
  }

  function axes(pen, to, width, height, plain) {
    const [left, top] = to.back(0, 0);
    const [right, bottom] = to.back(width, height);
    pen.font = "11px system-ui, sans-serif";
    pen.strokeStyle = plain("var(--grid)");
    pen.fillStyle = plain("var(--muted)");
    pen.lineWidth = 1;
    for (const v of Axes.ticks(left, right, 5)) {
      pen.beginPath(); pen.moveTo(to.x(v), 0); pen.lineTo(to.x(v), height); pen.stroke();
      pen.fillText(Axes.text(v), to.x(v) + 3, height - 5);
    }
    for (const v of Axes.ticks(bottom, top, 5)) {
      pen.beginPath(); pen.moveTo(0, to.y(v)); pen.lineTo(width, to.y(v)); pen.stroke();
      pen.fillText(Axes.text(v), 4, to.y(v) - 4);
    }
  }

  function labeled() {
    const rows = state.marked >= 0 && known(at[2 * state.marked]) ? [state.marked] : [];
    if (state.color === "complex") for (let i = 0; i < Data.n && rows.length < 40; i++) if (above(i) && known(at[2 * i])) rows.push(i);
    return rows;
  }
  function mark(pen, to, plain) {
    pen.font = "600 12px system-ui, sans-serif";
    for (const row of labeled()) {
      const [x, y] = [to.x(at[2 * row]), to.y(at[2 * row + 1])];
      pen.strokeStyle = plain("var(--ink)");
      pen.lineWidth = 2;
      if (row === state.marked) { pen.beginPath(); pen.arc(x, y, size() + 5, 0, 2 * Math.PI); pen.stroke(); }
      pen.strokeStyle = plain("var(--paper)");
      pen.lineWidth = 4;
      pen.strokeText(Data.name(row).slice(0, 24), x + size() + 6, y + 4);
      pen.fillStyle = plain("var(--ink)");
      pen.fillText(Data.name(row).slice(0, 24), x + size() + 6, y + 4);
    }
  }

  // The same as an SVG, for export.
  function asSvg(canvas, drawnOrder) {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const to = screen(width, height);
    const r = size();
    const shapes = drawnOrder.map((row) => {
      const [x, y] = [to.x(at[2 * row]), to.y(at[2 * row + 1])];
      if (x < 0 || y < 0 || x > width || y > height) return null;
      const s = above(row) ? r * 1.7 : r;
      if (own.type[row] === Data.GENE) return draw("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: s.toFixed(1), fill: look(row), "fill-opacity": 0.85 });
      return draw("path", { d: `M${x.toFixed(1)} ${(y - s * 1.2).toFixed(1)}l${(s * 1.2).toFixed(1)} ${(s * 1.2).toFixed(1)}l${(-s * 1.2).toFixed(1)} ${(s * 1.2).toFixed(1)}l${(-s * 1.2).toFixed(1)} ${(-s * 1.2).toFixed(1)}z`, fill: look(row), "fill-opacity": 0.85 });
    });
    const words = labeled().map((row) => draw("text", { x: to.x(at[2 * row]) + r + 6, y: to.y(at[2 * row + 1]) + 4, fill: "var(--ink)", "font-weight": 600, stroke: "var(--paper)", "stroke-width": 3, "paint-order": "stroke" }, Data.name(row)));
    return Pieces.svg(width, height, `The map as points (${doc.points.method})`, shapes, words);
  }

  return { load, choose, screen, paint, asSvg, order, view, state, HOME, NEAR, position: (row) => [at[2 * row], at[2 * row + 1]], look, show: (link, go) => Stage.show(link, go) };
})();
