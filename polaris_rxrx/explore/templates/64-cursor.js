// A cursor over the cells of a figure: the pointer's, or that of the arrow keys. `tell(row, column)` says what is there.
const Cursor = (() => {
  // `made`: {drawn, marker, edge, top, size}; Enter or a click calls `open(row, column)`.
  function on(holder, made, rows, columns, tell, open) {
    let [row, column] = [-1, -1];
    const top = made.top ?? made.edge;
    function move(i, j) {
      [row, column] = [i, j];
      made.marker.setAttribute("x", made.edge + j * made.size);
      made.marker.setAttribute("y", top + i * made.size);
      made.marker.setAttribute("visibility", "visible");
      tell(i, j);
    }
    function at(event) {
      const box = made.drawn.getBoundingClientRect();
      const share = made.drawn.viewBox.baseVal.width / box.width;
      const j = Math.floor(((event.clientX - box.left) * share - made.edge) / made.size);
      const i = Math.floor(((event.clientY - box.top) * share - top) / made.size);
      return i >= 0 && j >= 0 && i < rows && j < columns ? [i, j] : null;
    }
    made.drawn.addEventListener("pointermove", (event) => {
      const cell = at(event);
      if (cell && (cell[0] !== row || cell[1] !== column)) move(...cell);
    });
    made.drawn.addEventListener("click", (event) => {
      const cell = at(event);
      if (cell && open) open(...cell);
    });
    holder.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Enter" && open && row >= 0) { open(row, column); return; }
      if (!step) return;
      event.preventDefault();
      if (row < 0) move(0, 0);
      else move(Math.max(0, Math.min(rows - 1, row + step[0])), Math.max(0, Math.min(columns - 1, column + step[1])));
    });
  }
  return { on };
})();
