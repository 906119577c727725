"use strict";
(() => {
  // Everything shown is made of text nodes and attributes: a name can hold any letters and stays a name.
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const shown = document.getElementById("shown");
  const DASH = "\u2013";

  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function draw(tag, attributes, text) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // ---- the rows: name becomes a button, the row knows its data -------------------------------------------
  const rows = [...body.rows].map((element, place) => {
    const own = data.rows[place];
    const button = make("button", { type: "button", class: "open", "aria-expanded": "false" });
    button.append(...element.cells[0].childNodes);
    element.cells[0].append(button);
    const genes = own.g.filter((_, i) => own.a[i] === "1").map((g) => data.genes[g].toLowerCase());
    const row = { element, own, place, button, genes, name: own.n.toLowerCase(), detail: null };
    button.addEventListener("click", () => toggle(row));
    return row;
  });

  // ---- sorting: numbers start with the highest, names with A; what is missing stays last ------------------
  function compare(column, falling) {
    if (column === 0) return (a, b) => (falling ? b.place - a.place : a.place - b.place);
    return (a, b) => {
      const x = a.own.v[column - 1];
      const y = b.own.v[column - 1];
      if (x === null || y === null) return (x === null) - (y === null) || a.place - b.place;
      return (falling ? y - x : x - y) || a.place - b.place;
    };
  }

  function sort(column) {
    const before = heads[column].getAttribute("aria-sort");
    const falling = before ? before === "ascending" : column > 0;
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
    const ordered = [...rows].sort(compare(column, falling));
    body.append(...ordered.flatMap((row) => (row.detail ? [row.element, row.detail] : [row.element])));
    const first = column === 0 ? (falling ? "Z first" : "A first") : falling ? "highest first" : "lowest first";
    tell(`Sorted by ${heads[column].textContent}, ${first}.`);
  }

  heads.forEach((head, column) => {
    const button = make("button", { type: "button", class: "sort" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(column));
  });

  // ---- filtering -----------------------------------------------------------------------------------------
  const filter = document.getElementById("filter");

  function tell(before) {
    const n = rows.filter((row) => !row.element.hidden).length;
    const noun = rows.length === 1 ? "treatment" : "treatments";
    const count = n === rows.length ? `All ${n.toLocaleString("en")} ${noun} shown.`
      : `${n.toLocaleString("en")} of ${rows.length.toLocaleString("en")} ${noun} shown.`;
    shown.textContent = before ? `${before} ${count}` : count;
  }

  function narrow() {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of rows) {
      const hit = row.name.includes(wanted) || row.genes.some((gene) => gene.startsWith(wanted));
      row.element.hidden = !hit;
      if (row.detail) row.detail.hidden = !hit || row.button.getAttribute("aria-expanded") !== "true";
    }
    tell("");
  }

  filter.addEventListener("input", narrow);
  filter.form.addEventListener("submit", (event) => event.preventDefault());

  // ---- a treatment opened: its genes, its curves ---------------------------------------------------------
  function toggle(row) {
    const open = row.button.getAttribute("aria-expanded") !== "true";
    if (open && !row.detail) {
      row.detail = detail(row);
      row.element.after(row.detail);
      row.button.setAttribute("aria-controls", row.detail.id);
    }
    row.button.setAttribute("aria-expanded", String(open));
    row.detail.hidden = !open;
  }

  // Counts of actives (tp) and inactives (fp) down to the end of each run of equal scores.
  function thresholds(own) {
    const sizes = own.b || own.g.map(() => 1);
    const points = [];
    let at = 0, tp = 0, fp = 0;
    for (const size of sizes) {
      for (const end = at + size; at < end; at += 1) {
        tp += own.a[at] === "1";
        fp += own.a[at] === "0";
      }
      points.push([tp, fp]);
    }
    return { points, tp, fp };
  }

  function curves(own) {
    const { points, tp: actives, fp: inactives } = thresholds(own);
    let precision = 0, wins = 0, steps = "", line = "M0 0", tpBefore = 0, fpBefore = 0;
    for (const [tp, fp] of points) {
      if (tp > tpBefore) {
        const p = tp / (tp + fp);
        precision += (tp - tpBefore) * p;
        steps += `${steps ? "L" : "M"}${tpBefore / actives} ${p}L${tp / actives} ${p}`;
      }
      wins += (tp - tpBefore) * (inactives - fp + 0.5 * (fp - fpBefore));
      line += `L${fp / inactives} ${tp / actives}`;
      [tpBefore, fpBefore] = [tp, fp];
    }
    const both = actives > 0 && inactives > 0;
    return {
      prevalence: actives / (actives + inactives),
      precision: actives > 0 ? precision / actives : null,
      auroc: both ? wins / (actives * inactives) : null,
      steps,
      line: both ? line : "",
    };
  }

  // A path of the unit square, on a plot whose corner is at (34, 8) and whose side is 130.
  const SIDE = 130, LEFT = 34, TOP = 8;
  const onPlot = (path) => path.replace(/([ML])(\S+) ([^ML]+)/g, (_, letter, x, y) =>
    `${letter}${(LEFT + SIDE * x).toFixed(2)} ${(TOP + SIDE * (1 - y)).toFixed(2)}`);

  function plot(title, value, path, chance, xName, yName) {
    const told = `${title} ${value === null ? DASH : value.toFixed(3)}`;
    const svg = draw("svg", { viewBox: "0 0 176 176", role: "img", "aria-label": `${yName} against ${xName}, ${told}` });
    svg.append(
      draw("path", { class: "frame", d: `M${LEFT} ${TOP}v${SIDE}h${SIDE}` }),
      draw("path", { class: "chance", d: onPlot(chance) }),
      draw("text", { x: LEFT - 5, y: TOP + 8, "text-anchor": "end" }, "1"),
      draw("text", { x: LEFT - 5, y: TOP + SIDE, "text-anchor": "end" }, "0"),
      draw("text", { x: LEFT, y: TOP + SIDE + 14 }, "0"),
      draw("text", { x: LEFT + SIDE, y: TOP + SIDE + 14, "text-anchor": "end" }, "1"),
      draw("text", { x: LEFT + SIDE / 2, y: TOP + SIDE + 28, "text-anchor": "middle" }, xName),
      draw("text", {
        x: 0, y: 0, "text-anchor": "middle", transform: `translate(12 ${TOP + SIDE / 2}) rotate(-90)`,
      }, yName),
    );
    if (path) svg.append(draw("path", { class: "line", d: onPlot(path) }));
    return make("figure", { class: "curve" }, make("figcaption", {}, told), svg);
  }

  function detail(row) {
    const { own } = row;
    const found = curves(own);
    const list = make("tbody", {});
    const labels = { 1: "active", 0: "not active", "-": "no label" };
    let at = 0;
    for (const size of own.b || own.g.map(() => 1)) {
      const rank = size === 1 ? `${at + 1}` : `${at + 1}${DASH}${at + size}`;
      for (const end = at + size; at < end; at += 1) {
        list.append(make("tr", own.a[at] === "1" ? { class: "active" } : {},
          make("td", {}, rank),
          make("th", { scope: "row" }, make("bdi", {}, data.genes[own.g[at]])),
          make("td", {}, String(own.s[at])),
          make("td", { class: "left" }, labels[own.a[at]])));
      }
    }
    const head = make("tr", {}, ...["Rank", "Gene", "Score", "Label"].map((text, i) =>
      make("th", i === 1 || i === 3 ? { scope: "col", class: "left" } : { scope: "col" }, text)));
    const genes = make("div", { class: "genes", role: "region", tabindex: "0", "aria-label": `Ranked genes of ${own.n}` },
      make("table", {}, make("thead", {}, head), list));
    const inside = make("div", { class: "inside" }, genes);
    if (found.precision !== null) {
      inside.append(plot("AP", found.precision, found.steps, `M0 ${found.prevalence}L1 ${found.prevalence}`,
        "recall", "precision"));
    }
    if (found.auroc !== null) {
      inside.append(plot("AUROC", found.auroc, found.line, "M0 0L1 1", "false positive rate", "true positive rate"));
    }
    if (own.x) inside.append(make("p", { class: "smiles" }, "SMILES ", make("code", {}, own.x)));
    const cell = make("td", { colspan: heads.length }, inside);
    return make("tr", { class: "detail", id: `detail-${row.place}` }, cell);
  }

  table.parentElement.classList.add("tall");
})();
