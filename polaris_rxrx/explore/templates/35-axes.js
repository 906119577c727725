// Scales and axes of the figures: plain SVG, in the page's colors.
const Axes = (() => {
  const { draw } = Pieces;

  const linear = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

  // Round numbers between two values, about `n` of them.
  function ticks(low, high, n = 5) {
    const rough = (high - low) / n || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999) || rough;
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(+(k * step).toPrecision(12));
    return found;
  }
  const text = (value) => String(+value.toPrecision(6)).replace("-", Pieces.MINUS);

  function across(scale, at, left, right, y, bottom, title) {
    return draw("g", {},
      at.map((value) => [
        draw("line", { x1: scale(value), x2: scale(value), y1: y, y2: bottom, stroke: "var(--grid)" }),
        draw("text", { x: scale(value), y: bottom + 15, "text-anchor": "middle", fill: "var(--muted)", "font-size": 11 }, text(value)),
      ]),
      draw("line", { x1: left, x2: right, y1: bottom, y2: bottom, stroke: "var(--muted)" }),
      title ? draw("text", { x: (left + right) / 2, y: bottom + 32, "text-anchor": "middle", fill: "var(--ink)" }, title) : null);
  }

  function upward(scale, at, left, right, title, middle) {
    return draw("g", {},
      at.map((value) => [
        draw("line", { x1: left, x2: right, y1: scale(value), y2: scale(value), stroke: value === 0 ? "var(--muted)" : "var(--grid)" }),
        draw("text", { x: left - 6, y: scale(value) + 4, "text-anchor": "end", fill: "var(--muted)", "font-size": 11 }, text(value)),
      ]),
      title ? draw("text", { transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle", fill: "var(--ink)" }, title) : null);
  }

  // A bar of colors with numbers at its ends and its middle.
  function bar(x, y, width, colors, marks, title) {
    const step = width / colors.length;
    return draw("g", {},
      colors.map((color, i) => draw("rect", { x: x + i * step, y, width: step + 0.4, height: 10, fill: color })),
      draw("rect", { x, y, width, height: 10, fill: "none", stroke: "var(--line)" }),
      marks.map(([share, label]) => draw("text", { x: x + share * width, y: y + 23, "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle",
        fill: "var(--muted)", "font-size": 11 }, label)),
      title ? draw("text", { x, y: y - 5, fill: "var(--ink)", "font-size": 11 }, title) : null);
  }

  const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  return { linear, ticks, text, across, upward, bar, path };
})();
