// How the map of points is handled: pointer, wheel, keys; lasso, box and nearness; the list of what is selected.
const Stage = (() => {
  const { make, draw, bdi, count, known, plural, table } = Pieces;
  const { own, doc } = Data;
  const { view, state } = Points;
  const HEAT = 120;
  const SHOWN = 200;

  async function show(link, go) {
    const parts = [make("h2", { tabindex: -1 }, "The whole map")];
    if (!await Points.load()) return { title: "Map", parts: [...parts, About.counts(), Pieces.missing("points", "Points")] };
    const sets = await Points.choose(link.query);
    const change = (part) => go(Links.to("map", [], { color: state.color === "type" ? null : state.color, complex: state.complex, at: link.query.get("at"), ...part }), true);
    const order = Points.order();
    const canvas = make("canvas", { tabindex: 0, role: "img", "aria-label": `${count(order.length)} rows of the map as points. Arrow keys move, plus and minus zoom, 0 shows all.` });
    const tip = make("p", { class: "tip", hidden: true });
    const stage = make("div", { class: "stage" }, canvas, tip);
    stage.style.height = `${Math.round(Math.max(300, Math.min(640, innerHeight * 0.66)))}px`;
    const list = make("div", {});
    const held = { canvas, stage, tip, order, list, go };
    held.paint = () => { if (canvas.isConnected) Points.paint(canvas, order); };
    stage.append(buttons(held));
    pointer(held);
    keys(held);
    const { method, kept } = doc.points;
    const share = kept ? ` The two axes hold ${kept.map((k) => `${(100 * k).toFixed(1)}%`).join(" and ")} of the variance.` : "";
    const caption = make("p", { class: "small" }, `${method} in two dimensions: a picture, not a measure.${share} Distances that matter are cosines, on each one's own page.`);
    const left = make("div", {}, controls(sets, change), stage, key(), Pieces.takes("map", "The map as points", () => Points.asSvg(canvas, order)), caption);
    fill(held);
    return { title: "Map", parts: [...parts, About.counts(), make("div", { class: "layout" }, left, make("div", {}, selecting(held), list))], after: () => watch(held) };
  }

  function watch(held) {
    held.paint();
    const sizes = new ResizeObserver(held.paint);
    sizes.observe(held.stage);
    const colors = () => {
      if (held.canvas.isConnected) held.paint();
      else document.removeEventListener("colors", colors);
    };
    document.addEventListener("colors", colors);
  }

  function controls(sets, change) {
    const ways = [["type", "Type"], own.p && ["activity", "Activity"], sets && ["complex", "Complex"]].filter(Boolean);
    const find = make("input", { type: "search", autocomplete: "off", placeholder: "Gene or compound", spellcheck: "false" });
    const label = make("label", {}, "Mark on the map", find);
    Search.combobox(find, (entry) => change({ at: Data.names[entry.name] }));
    return make("div", { class: "controls" }, Pieces.choices("Color by", ways, state.color, (value) => change({ color: value === "type" ? null : value, complex: value === "complex" && !state.complex && sets.length ? sets[0][0] : state.complex })),
      state.color === "complex" && sets ? Pieces.select("Complex", [["", "None"], ...sets.map(([name]) => [name, name])], state.complex, (value) => change({ complex: value })) : null, label);
  }

  function key() {
    const dot = (color) => draw("svg", { width: 12, height: 12, "aria-hidden": "true" }, draw("circle", { cx: 6, cy: 6, r: 4.5, fill: color }));
    const diamond = (color) => draw("svg", { width: 12, height: 12, "aria-hidden": "true" }, draw("path", { d: "M6 0l6 6l-6 6l-6 -6z", fill: color }));
    if (state.color === "activity") {
      const bar = draw("svg", { width: 120, height: 12, "aria-hidden": "true" }, Array.from({ length: 30 }, (_, k) => draw("rect", { x: k * 4, width: 4.4, height: 12, fill: Pieces.evenColor(k / 29) })));
      return make("ul", { class: "key" }, make("li", {}, "p of activity: 1 ", bar, " 0.0001 and less"), make("li", {}, dot("var(--line)"), "Not tested"), make("li", {}, "Circles are genes, diamonds compounds"));
    }
    if (state.color === "complex") return make("ul", { class: "key" }, make("li", {}, dot("var(--c3)"), state.complex ? bdi(state.complex) : "Genes of the complex"), make("li", {}, dot("var(--line)"), "Other genes"), make("li", {}, diamond("var(--line)"), "Compounds"));
    return make("ul", { class: "key" }, make("li", {}, dot("var(--c0)"), "Genes"), make("li", {}, diamond("var(--c1)"), "Compounds, each at every concentration"));
  }

  // ---- moving and zooming ------------------------------------------------------------------------------------
  function zoom(held, factor, px, py) {
    const { clientWidth: width, clientHeight: height } = held.canvas;
    const before = Points.screen(width, height).back(px ?? width / 2, py ?? height / 2);
    view.zoom = Math.max(Points.HOME.zoom * 0.5, Math.min(Points.HOME.zoom * 400, view.zoom * factor));
    const after = Points.screen(width, height).back(px ?? width / 2, py ?? height / 2);
    view.x += before[0] - after[0];
    view.y += before[1] - after[1];
    held.paint();
  }
  function home(held) {
    Object.assign(view, Points.HOME);
    held.paint();
  }
  function buttons(held) {
    const button = (text, label, act) => make("button", { type: "button", "aria-label": label, title: label, onclick: act }, text);
    const lasso = button("\u25cc", "Lasso: draw around points", () => {
      state.lasso = !state.lasso;
      lasso.setAttribute("aria-pressed", String(state.lasso));
      held.stage.classList.toggle("drawing", state.lasso);
    });
    lasso.setAttribute("aria-pressed", String(state.lasso));
    held.stage.classList.toggle("drawing", state.lasso);
    return make("div", { class: "buttons" }, button("+", "Zoom in", () => zoom(held, 1.5)), button("\u2212", "Zoom out", () => zoom(held, 1 / 1.5)), button("\u2302", "Show all", () => home(held)), lasso);
  }
  function keys(held) {
    held.canvas.addEventListener("keydown", (event) => {
      const step = 0.1 / view.zoom;
      const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
      if (move) { view.x += move[0]; view.y += move[1]; held.paint(); }
      else if (event.key === "+" || event.key === "=") zoom(held, 1.3);
      else if (event.key === "-") zoom(held, 1 / 1.3);
      else if (event.key === "0") home(held);
      else return;
      event.preventDefault();
    });
  }

  function nearest(held, px, py) {
    const to = Points.screen(held.canvas.clientWidth, held.canvas.clientHeight);
    let [best, least] = [-1, Points.NEAR ** 2];
    for (const row of held.order) {
      const [x, y] = Points.position(row);
      const far = (to.x(x) - px) ** 2 + (to.y(y) - py) ** 2;
      if (far <= least) [best, least] = [row, far];
    }
    return best;
  }
  function hover(held, px, py) {
    const row = nearest(held, px, py);
    held.tip.hidden = row < 0;
    held.canvas.style.cursor = row >= 0 && !state.lasso ? "pointer" : "";
    if (row < 0) return;
    const activity = Known.tested(row) ? `, activity p ${Pieces.chance(own.p[row])}` : "";
    held.tip.textContent = `${Data.name(row)}${Data.dose(row) === null ? "" : `, ${Pieces.dose(Data.dose(row))}`}${activity}`;
    held.tip.style.left = `${Math.min(px + 12, held.canvas.clientWidth - 160)}px`;
    held.tip.style.top = `${Math.max(2, py - 30)}px`;
  }

  function pointer(held) {
    const { canvas } = held;
    const down = new Map();
    let path = null;
    let moved = 0;
    const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(held, Math.exp(-event.deltaY * 0.0015), ...place(event)); }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      down.set(event.pointerId, place(event));
      moved = 0;
      if (state.lasso && down.size === 1) path = [place(event)];
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = place(event);
      const was = down.get(event.pointerId);
      if (!was) { hover(held, ...now); return; }
      moved += Math.hypot(now[0] - was[0], now[1] - was[1]);
      if (path) { path.push(now); held.paint(); trace(canvas, path); }
      else if (down.size === 2) {
        const other = [...down].find(([id]) => id !== event.pointerId)[1];
        zoom(held, Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(was[0] - other[0], was[1] - other[1])), ...other);
      } else {
        const { unit } = Points.screen(canvas.clientWidth, canvas.clientHeight);
        view.x -= (now[0] - was[0]) / unit;
        view.y += (now[1] - was[1]) / unit;
        held.tip.hidden = true;
        held.paint();
      }
      down.set(event.pointerId, now);
    });
    const end = (event) => {
      if (!down.delete(event.pointerId)) return;
      if (path) { const drawn = path; path = null; if (drawn.length > 2) select(held, inside(held, drawn), "In the lasso"); else held.paint(); }
      else if (moved < 4 && event.type === "pointerup") {
        const row = nearest(held, ...place(event));
        if (row >= 0) held.go(Links.ofRow(row));
      }
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => { held.tip.hidden = true; });
  }
  function trace(canvas, path) {
    const pen = canvas.getContext("2d");
    pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--focus");
    pen.lineWidth = 2;
    pen.beginPath();
    path.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
  }
  function inside(held, path) {
    const to = Points.screen(held.canvas.clientWidth, held.canvas.clientHeight);
    return held.order.filter((row) => {
      const [px, py] = Points.position(row);
      const [x, y] = [to.x(px), to.y(py)];
      let within = false;
      for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
        const [[ax, ay], [bx, by]] = [path[i], path[j]];
        if ((ay > y) !== (by > y) && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
      }
      return within;
    });
  }

  // ---- selecting -----------------------------------------------------------------------------------------------
  function select(held, rows, told) {
    state.selected = rows.length ? rows : null;
    state.told = told;
    held.paint();
    fill(held);
    Pieces.say(`${told}: ${plural(rows.length, "row", "rows")} selected.`);
  }

  // The lasso's equals by keyboard: a box by its numbers, and the nearest points to a marked one.
  function selecting(held) {
    const number = (label, value) => { const box = make("input", { type: "number", step: "any", value }); box.style.width = "6rem"; return [make("label", {}, label, box), box]; };
    const [[fromX, x0], [toX, x1], [fromY, y0], [toY, y1]] = [number("x from", -0.2), number("x to", 0.2), number("y from", -0.2), number("y to", 0.2)];
    const [howMany, n] = number("Nearest", 20);
    n.min = 1;
    const box = (event) => {
      event.preventDefault();
      const [a, b, c, d] = [x0, x1, y0, y1].map((input) => Number(input.value));
      select(held, held.order.filter((row) => { const [x, y] = Points.position(row); return x >= Math.min(a, b) && x <= Math.max(a, b) && y >= Math.min(c, d) && y <= Math.max(c, d); }), "In the box");
    };
    const around = (event) => {
      event.preventDefault();
      if (state.marked < 0) { Pieces.say("Mark a gene or compound on the map first."); return; }
      const [mx, my] = Points.position(state.marked);
      const far = (row) => { const [x, y] = Points.position(row); return (x - mx) ** 2 + (y - my) ** 2; };
      select(held, [...held.order].sort((a, b) => far(a) - far(b)).slice(0, Math.max(1, Number(n.value))), `Nearest to ${Data.name(state.marked)} in the picture`);
    };
    return make("details", {}, make("summary", {}, "Select by numbers"),
      make("form", { class: "controls", onsubmit: box }, fromX, toX, fromY, toY, make("button", { type: "submit" }, "Select the box")),
      make("form", { class: "controls", onsubmit: around }, howMany, make("button", { type: "submit" }, state.marked < 0 ? "Nearest to the marked point" : `Nearest to ${Data.name(state.marked)}`)));
  }

  function fill(held) {
    const rows = state.selected;
    if (!rows) {
      held.list.replaceChildren(make("h3", {}, "Selection"), make("p", { class: "small" }, state.told ? `${state.told}: nothing.` : "Draw a lasso around points (\u25cc), or select by numbers; what is selected is listed here."));
      return;
    }
    const names = [...new Set(rows.map((row) => Data.name(row)))];
    const columns = [
      { head: "Name", key: "name", left: true, value: (row) => Data.name(row), show: (row) => make("a", { href: Links.ofRow(row) }, bdi(Data.name(row))) },
      { head: "Type", key: "type", left: true, value: (row) => Data.words[own.type[row]], show: (row) => Pieces.kind(own.type[row]) },
      { head: "Dose", key: "concentration_uM", value: (row) => Data.dose(row), show: (row) => Pieces.dose(Data.dose(row)) },
      own.p && { head: "Activity p", key: "activity_p", value: (row) => own.p[row], show: (row) => Known.activity(row) },
    ].filter(Boolean);
    held.list.replaceChildren(make("h3", {}, `${state.told}: ${plural(rows.length, "row", "rows")}`),
      make("p", {}, make("a", { href: Links.to("list", [names.slice(0, HEAT)]) }, names.length > HEAT ? `Heat map of the first ${HEAT} names` : "Heat map of these"), " ",
        make("button", { type: "button", onclick: () => { state.selected = null; state.told = ""; held.paint(); fill(held); } }, "Clear")),
      table({ caption: rows.length > SHOWN ? `The first ${SHOWN}` : "Selected", columns, rows: rows.slice(0, SHOWN), tall: true, file: "selection",
        all: rows.length > SHOWN ? { label: "CSV of all", take: () => Pieces.saveCsv("selection-all", columns, rows) } : null }));
  }

  return { show };
})();
