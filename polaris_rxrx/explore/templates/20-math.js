// Cosines, ranks, and where they stand; the figures are those of the suites `neighbors` and `enrichment`.
const Maths = (() => {
  const { own, n, doc } = Data;
  const width = doc.rows.width;
  const NONE = -32768;
  const FINE = 2 ** 30;  // steps of a cosine in a key
  const ROWS = 2 ** 20;  // more than a page has

  const asCosine = (whole) => (whole === NONE ? NaN : whole / 32767);

  // Cosines of a row with all rows (n,); NaN without a vector. Whole numbers: a sum of 384 products of two
  // int8 is exact, so all that is lost was lost when the vectors were rounded.
  function cosines(row) {
    const { vectors, scale } = own;
    const found = new Float32Array(n);
    const first = row * width;
    const mine = new Int32Array(width);
    for (let k = 0; k < width; k++) mine[k] = vectors[first + k];
    const whole = width - (width % 4);
    for (let i = 0, at = 0; i < n; i++, at += width) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let k = 0; k < whole; k += 4) {
        a = (a + Math.imul(mine[k], vectors[at + k])) | 0;
        b = (b + Math.imul(mine[k + 1], vectors[at + k + 1])) | 0;
        c = (c + Math.imul(mine[k + 2], vectors[at + k + 2])) | 0;
        d = (d + Math.imul(mine[k + 3], vectors[at + k + 3])) | 0;
      }
      for (let k = whole; k < width; k++) a += mine[k] * vectors[at + k];
      found[i] = scale[row] && scale[i] ? scale[row] * scale[i] * (a + b + c + d) : NaN;
    }
    return found;
  }

  function dot(a, b) {
    const { vectors, scale } = own;
    if (!vectors || !scale[a] || !scale[b]) return NaN;
    let sum = 0;
    for (let k = 0, i = a * width, j = b * width; k < width; k++) sum += vectors[i + k] * vectors[j + k];
    return scale[a] * scale[b] * sum;
  }

  let last = { row: -1, all: null };
  function query(row) {
    if (last.row !== row) last = { row, all: cosines(row) };
    return last.all;
  }

  // The rows of a type by falling cosine with a row, without those of its own name and type: {rows, cosines,
  // ranks, of}. Where the page has only nearest and farthest, those.
  function ranked(row, type, near) {
    if (!own.vectors) return kept(row, type, near);
    const all = query(row);
    const mine = own.type[row] === type ? own.name[row] : -1;
    // One number holds a cosine, falling, and the row: numbers alone are sorted many times faster than by a function.
    const keys = new Float64Array(n);
    let many = 0;
    for (let i = 0; i < n; i++) {
      if (own.type[i] === type && own.name[i] !== mine && all[i] === all[i]) keys[many++] = Math.round((1 - all[i]) * FINE) * ROWS + i;
    }
    const order = Uint32Array.from(keys.subarray(0, many).sort(), (key) => key % ROWS);
    return { rows: order, cosines: Float32Array.from(order, (i) => all[i]), rank: (i) => i + 1, of: order.length, all };
  }

  function kept(row, type, near) {
    if (!near) return { rows: [], cosines: [], rank: () => NaN, of: 0, all: null };
    const [rowsOf, cosine, of] = near;
    const types = Data.types.length;
    const most = 2 * doc.neighbors;
    const start = (row * types + type) * most;
    const none = 2 ** (8 * rowsOf.BYTES_PER_ELEMENT) - 1;
    const total = of[row * types + type];
    const rows = [];
    const values = [];
    const all = new Map();
    for (let k = start; k < start + most; k++) {
      if (rowsOf[k] === none) continue;
      rows.push(rowsOf[k]);
      values.push(asCosine(cosine[k]));
      all.set(rowsOf[k], values[values.length - 1]);
    }
    const rank = (i) => (i < doc.neighbors || total <= most ? i + 1 : total - rows.length + i + 1);
    return { rows, cosines: values, rank, of: total, all };
  }

  const nearBlocks = () => (doc.neighbors ? Data.blocks("near_row", "near_cosine", "near_of") : null);

  // ---- the null of all pairs -------------------------------------------------------------------------------
  function nullOf(quantiles, of, other) {
    if (!quantiles || !doc.nulls) return null;
    const at = doc.nulls.pairs.findIndex((pair) => pair.of === Data.types[of] && pair.with === Data.types[other]);
    const { levels } = doc.nulls;
    return at < 0 ? null : { q: quantiles.subarray(at * levels.length, (at + 1) * levels.length), levels, n: doc.nulls.pairs[at].n_pairs };
  }

  // The share of the null below a cosine (or at or below it, with `right`).
  function below(pairs, cosine, right) {
    const { q, levels } = pairs;
    let low = 0;
    let high = q.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (right ? q[middle] <= cosine : q[middle] < cosine) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return 0;
    if (low === q.length) return 1;
    const step = q[low] - q[low - 1];
    return levels[low - 1] + (step > 0 ? ((cosine - q[low - 1]) / step) * (levels[low] - levels[low - 1]) : 0);
  }

  // The share of the null that is as high or, for a negative cosine, as low.
  function beyond(pairs, cosine) {
    if (!pairs || cosine !== cosine) return NaN;
    return cosine >= 0 ? 1 - below(pairs, cosine, false) : below(pairs, cosine, true);
  }

  const percentile = (pairs, cosine) => 100 * (cosine >= 0 ? 1 - beyond(pairs, cosine) : beyond(pairs, cosine));

  // ---- enrichment ------------------------------------------------------------------------------------------
  const logs = [0];
  function logFactorial(k) {
    for (let i = logs.length; i <= k; i++) logs.push(logs[i - 1] + Math.log(i));
    return logs[k];
  }
  const logChoose = (k, of) => logFactorial(of) - logFactorial(k) - logFactorial(of - k);

  // The chance of at least `k` of a set of `size` among `drawn` out of `total`.
  function upperTail(k, total, size, drawn) {
    if (k <= Math.max(0, size + drawn - total)) return 1;
    let sum = 0;
    for (let i = Math.min(size, drawn); i >= k; i--) {
      sum += Math.exp(logChoose(i, size) + logChoose(drawn - i, total - size) - logChoose(drawn, total));
    }
    return Math.min(1, sum);
  }

  // Benjamini and Hochberg.
  function adjusted(p) {
    const order = p.map((_, i) => i).sort((a, b) => p[b] - p[a]);
    const q = new Array(p.length);
    let least = 1;
    order.forEach((at, k) => {
      least = Math.min(least, (p[at] * p.length) / (p.length - k));
      q[at] = least;
    });
    return q;
  }

  // Each set that shares a gene with a list: [{name, shared, size, expected, p, bonferroni, q}] by p.
  function enrichment(list, sets, background) {
    const wanted = new Set(list);
    const shared = sets.map(([, members]) => members.filter((gene) => wanted.has(gene)));
    const p = sets.map(([, members], i) => upperTail(shared[i].length, background, members.length, wanted.size));
    const q = adjusted(p);
    return sets.map(([name, members], i) => ({
      name, shared: shared[i], size: members.length, expected: (members.length * wanted.size) / background,
      p: p[i], bonferroni: Math.min(1, p[i] * p.length), q: q[i], at: i,
    })).filter((set) => set.shared.length > 0).sort((a, b) => a.p - b.p || a.at - b.at);
  }

  return { cosines, dot, ranked, nearBlocks, asCosine, nullOf, below, beyond, percentile, enrichment, upperTail, adjusted };
})();
