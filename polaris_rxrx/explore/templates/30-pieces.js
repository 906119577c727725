// What every view is made of: elements, numbers as text, tables with their CSV, figures with their PNG and SVG.
// A name only ever becomes a text node or the value of an attribute, never markup.
const Pieces = (() => {
  const DASH = "\u2013";
  const MINUS = "\u2212";
  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return element;
  }
  const make = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const bdi = (text) => make("bdi", {}, text);

  // ---- numbers ---------------------------------------------------------------------------------------------
  const real = (text) => text.replace("-", MINUS);
  const known = (value) => value !== null && value !== undefined && value === value;
  const fixed = (value, digits = 3) => (known(value) ? real(value.toFixed(digits)) : DASH);
  const count = (value) => (known(value) ? value.toLocaleString("en") : DASH);
  const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
  function chance(p) {
    if (!known(p)) return DASH;
    if (p >= 0.001) return p.toPrecision(2).replace(/^1\.0$/, "1");
    return p === 0 ? "0" : real(p.toExponential(1));
  }
  function percentile(value) {
    if (!known(value)) return DASH;
    const end = Math.min(value, 100 - value);
    return value.toFixed(end >= 0.05 || end === 0 ? 1 : end >= 0.005 ? 2 : end >= 0.0005 ? 3 : 4);
  }
  const dose = (value) => (value === null ? DASH : `${+value.toPrecision(4)} \u00b5M`);

  // ---- files -----------------------------------------------------------------------------------------------
  function save(file, content) {
    const url = URL.createObjectURL(content);
    const link = make("a", { href: url, download: file, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
  const fileName = (...parts) => parts.join("-").replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 100);

  function csv(columns, rows) {
    const cell = (value) => {
      const text = known(value) ? String(value) : "";
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [columns.map((c) => cell(c.key || c.head)), ...rows.map((row) => columns.map((c) => cell(c.value(row))))];
    return lines.map((line) => line.join(",")).join("\r\n") + "\r\n";
  }
  const saveCsv = (file, columns, rows) => save(`${file}.csv`, new Blob([csv(columns, rows)], { type: "text/csv" }));

  // ---- tables ----------------------------------------------------------------------------------------------
  // columns: [{head, about, key, value(row), show(row), left, quiet}]; the first one names the row, and what is
  // quiet is in the CSV alone.
  function table({ caption, columns, rows, file, tall, note, all, level = "h3" }) {
    const body = make("tbody");
    const seen = columns.filter((c) => !c.quiet);
    const heads = seen.map((c) => {
      const button = make("button", { type: "button", class: "sort", title: c.about }, c.head);
      return make("th", { scope: "col", class: c.left ? "left" : null }, button);
    });
    let shown = [...rows];
    const line = (row) => make("tr", {}, seen.map((c, i) => {
      const inside = c.show ? c.show(row) : known(c.value(row)) ? String(c.value(row)) : DASH;
      return make(i === 0 ? "th" : "td", { scope: i === 0 ? "row" : null, class: c.left ? "left" : null }, inside);
    }));
    const paint = () => body.replaceChildren(...shown.map(line));
    heads.forEach((head, at) => head.firstChild.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : !seen[at].left;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      shown = sorted(rows, seen[at].value, falling);
      paint();
      say(`Sorted by ${seen[at].head}, ${falling ? "highest" : "lowest"} first.`);
    }));
    paint();
    const made = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, heads)), body);
    const takes = make("div", { class: "takes" }, make("button", {
      type: "button", onclick: () => saveCsv(file, columns, shown), "aria-label": `CSV of the table: ${caption}`,
    }, "CSV"), all ? make("button", { type: "button", onclick: all.take }, all.label) : null);
    return make("div", { class: "block" },
      make("div", { class: tall ? "scroll tall" : "scroll", role: "region", tabindex: 0, "aria-label": `${caption} (table)` }, made),
      note ? make("p", { class: "small" }, note) : null, takes);
  }

  function sorted(rows, value, falling) {
    return rows.map((row, i) => [value(row), i, row]).sort(([a, i], [b, j]) => {
      if (!known(a) || !known(b)) return known(b) - known(a) || i - j;
      const by = typeof a === "string" ? a.localeCompare(b, "en") : a - b;
      return (falling ? -by : by) || i - j;
    }).map(([, , row]) => row);
  }

  // ---- figures ---------------------------------------------------------------------------------------------
  const room = (most = 760, share = 1) => {
    const main = document.getElementById("main");
    return Math.round(Math.max(280, Math.min(most, main.clientWidth * share)));
  };

  function svg(width, height, label, ...children) {
    return draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label,
      "font-size": 12, "font-family": "system-ui, sans-serif" }, ...children);
  }

  // An SVG that stands by itself: the page's colors as they are now, and its ground.
  function alone(figure) {
    const style = getComputedStyle(document.documentElement);
    const copy = figure.cloneNode(true);
    const [, , width, height] = copy.getAttribute("viewBox").split(" ");
    copy.prepend(draw("rect", { width, height, fill: "var(--paper)" }));
    copy.setAttribute("xmlns", SVG);
    const text = new XMLSerializer().serializeToString(copy);
    return text.replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  }

  function picture(text, width, height, scale = 2) {
    return new Promise((done, failed) => {
      const image = new Image();
      image.onload = () => {
        const canvas = make("canvas", { width: width * scale, height: height * scale });
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        // At once: `toBlob` waits for an idle moment, in Chromium up to a second. Without memory this is "data:,".
        const [, encoded] = canvas.toDataURL("image/png").split(",");
        if (!encoded) { failed(new Error("the picture could not be drawn")); return; }
        done(new Blob([Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0))], { type: "image/png" }));
      };
      image.onerror = () => failed(new Error("the picture could not be drawn"));
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    });
  }

  async function savePng(file, figure) {
    const [, , width, height] = figure.getAttribute("viewBox").split(" ").map(Number);
    save(`${file}.png`, await picture(alone(figure), width, height));
  }
  const saveSvg = (file, figure) => save(`${file}.svg`, new Blob([alone(figure)], { type: "image/svg+xml" }));

  // `of()` gives the SVG to take; `drawn` is what is shown.
  function takes(file, title, of) {
    return make("div", { class: "takes" },
      make("button", { type: "button", "aria-label": `PNG of the figure: ${title}`, onclick: () => savePng(file, of()) }, "PNG"),
      make("button", { type: "button", "aria-label": `SVG of the figure: ${title}`, onclick: () => saveSvg(file, of()) }, "SVG"));
  }

  function figure({ title, about, drawn, file }) {
    return make("figure", {}, make("div", { class: "plot", role: "region", tabindex: 0, "aria-label": `${title} (figure)` }, drawn),
      make("figcaption", {}, make("strong", {}, title + ". "), about || ""), takes(file, title, () => drawn));
  }

  // ---- colors ----------------------------------------------------------------------------------------------
  const STEPS = 20;
  const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
  const rgb = (text) => text.trim().match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16));
  const mix = (a, b, share) => a.map((v, i) => Math.round(v + (b[i] - v) * share));

  // The scale from negative (the color of genes, blue) over the ground to positive (vermilion).
  function setScale() {
    const root = document.documentElement;
    const style = getComputedStyle(root);
    const middle = rgb(style.getPropertyValue("--panel"));
    for (let k = -STEPS; k <= STEPS; k++) {
      const end = rgb(style.getPropertyValue(k < 0 ? "--c0" : "--c1"));
      root.style.setProperty(`--d${k}`, `rgb(${mix(middle, end, Math.abs(k) / STEPS).join(", ")})`);
    }
  }
  function signedColor(value, most) {
    if (!known(value)) return "var(--grid)";
    return `var(--d${Math.max(-STEPS, Math.min(STEPS, Math.round((value / most) * STEPS)))})`;
  }
  function evenColor(share) {
    const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1);
    const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
    return `rgb(${mix(CIVIDIS[low], CIVIDIS[low + 1], at - low).join(", ")})`;
  }

  // ---- small things ----------------------------------------------------------------------------------------
  function say(text) { document.getElementById("said").textContent = text; }
  const missing = (view, what) => make("p", { class: "missing" }, make("strong", {}, `${what}: not on this page. `), Data.why(view) ? `${Data.why(view)}.` : "");
  const kind = (type) => make("span", { class: `kind ${Data.words[type]}` }, Data.words[type]);
  function facts(list) {
    return make("dl", { class: "facts" }, list.filter(Boolean).map(([term, value, more]) =>
      make("div", {}, make("dt", {}, term), make("dd", {}, value), more ? make("dd", { class: "small" }, more) : null)));
  }
  // A choice of one of a few, as radio buttons that look like one bar.
  function choices(legend, options, chosen, onchange) {
    const group = `choice-${choices.made = (choices.made || 0) + 1}`;
    return make("fieldset", {}, make("legend", {}, legend), make("div", { class: "choices" }, options.map(([value, text]) =>
      make("label", {}, make("input", { type: "radio", name: group, value, checked: value === chosen, onchange: () => onchange(value) }),
        make("span", {}, text)))));
  }
  function select(label, options, chosen, onchange) {
    const box = make("select", {}, options.map(([value, text]) => make("option", { value, selected: String(value) === String(chosen) }, text)));
    box.addEventListener("change", () => onchange(box.value));
    return make("label", {}, label, box);
  }

  return { make, draw, bdi, fixed, count, plural, chance, percentile, dose, known, save, saveCsv, fileName, table, figure, takes,
    svg, alone, room, setScale, signedColor, evenColor, STEPS, say, missing, kind, facts, choices, select, DASH, MINUS };
})();
