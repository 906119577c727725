// Square heat maps of cosines: one SVG, names at two sides, known pairs outlined.
const Heat = (() => {
  const { draw, fixed, known } = Pieces;
  const OUTLINES = ["--c2", "--c3", "--c4", "--c5", "--ink"];

  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);

  // value(i, j) -> cosine; options: title, most (the scale's end), size (of a cell), write (numbers in cells),
  // outline(i, j) -> a color's name or null, legend: [[color, text]].
  function matrix(names, value, { title, most, size, write = false, outline = null, legend = [] }) {
    const n = names.length;
    const letters = Math.min(16, Math.max(3, ...names.map((name) => name.length)));
    const labeled = size >= 9;
    const font = Math.min(12, Math.max(8, size - 1));
    const edge = labeled ? letters * font * 0.62 + 8 : 6;
    const side = n * size;
    const width = Math.max(edge + side + 6, 260);
    const height = edge + side + 58 + 18 * Math.ceil(legend.length / 2);
    const cells = [];
    const lines = [];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const cosine = value(i, j);
        const [x, y] = [edge + j * size, edge + i * size];
        cells.push(draw("rect", { x, y, width: size, height: size, fill: i === j ? "var(--grid)" : Pieces.signedColor(cosine, most) }));
        if (write && i !== j) cells.push(draw("text", { x: x + size / 2, y: y + size / 2 + 4, "text-anchor": "middle", "font-size": 10.5, fill: Math.abs(cosine) > 0.6 * most ? "var(--paper)" : "var(--ink)" }, fixed(cosine, 2)));
        const color = i !== j && outline ? outline(i, j) : null;
        const inset = Math.min(1, size / 8);
        if (color) lines.push(draw("rect", { x: x + inset, y: y + inset, width: size - 2 * inset, height: size - 2 * inset, fill: "none", stroke: `var(${color})`, "stroke-width": Math.max(1, Math.min(2.5, size / 7)) }));
      }
    }
    const marker = draw("rect", { width: size, height: size, fill: "none", stroke: "var(--ink)", "stroke-width": 2.5, visibility: "hidden" });
    const drawn = Pieces.svg(width, height, title, cells, lines, labeled ? names.map((name, i) => [
      draw("text", { x: edge - 4, y: edge + (i + 0.5) * size + font * 0.35, "text-anchor": "end", "font-size": font, fill: "var(--ink)" }, cut(name, letters)),
      draw("text", { transform: `translate(${edge + (i + 0.5) * size + font * 0.35} ${edge - 4}) rotate(-90)`, "font-size": font, fill: "var(--ink)" }, cut(name, letters)),
    ]) : null, marker, scale(edge, edge + side + 22, Math.min(220, Math.max(140, side)), most), keys(legend, edge, edge + side + 62));
    return { drawn, marker, edge, size, n };
  }

  function scale(x, y, width, most) {
    const colors = Array.from({ length: 2 * Pieces.STEPS + 1 }, (_, k) => `var(--d${k - Pieces.STEPS})`);
    return Axes.bar(x, y, width, colors, [[0, fixed(-most, 2)], [0.5, "0"], [1, fixed(most, 2)]], "Cosine");
  }

  function keys(legend, x, y) {
    return legend.map(([color, text], i) => draw("g", { transform: `translate(${x + (i % 2) * 120} ${y + 18 * Math.floor(i / 2)})` },
      draw("rect", { width: 11, height: 11, y: -9, fill: "none", stroke: `var(${color})`, "stroke-width": 2 }), draw("text", { x: 17, "font-size": 11, fill: "var(--ink)" }, text)));
  }

  // The scale's end: what all but a fiftieth of the cosines stay below, at least 0.1.
  function end(values) {
    const sizes = values.filter(known).map(Math.abs).sort((a, b) => a - b);
    return Math.max(0.1, sizes[Math.floor(sizes.length * 0.98)] || 0);
  }

  return { matrix, end, OUTLINES };
})();
