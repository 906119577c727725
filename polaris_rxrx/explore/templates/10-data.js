"use strict";
// What the page holds: the document, and blocks of numbers that are read when a view first asks for them.
// `polaris_rxrx/explore/payload.py` says what each field means, `blocks.py` how numbers become text.
const Data = (() => {
  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%,()*+-;:=.?@^_[{|}~";
  const ARRAYS = { i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
  const doc = JSON.parse(document.getElementById("data").textContent);
  const value = new Uint8Array(128);
  for (let i = 0; i < LETTERS.length; i++) value[LETTERS.charCodeAt(i)] = i;
  const rows = doc.rows;
  // Half a character (a lone surrogate) cannot stand in an address, so no name keeps one.
  const names = rows.names.map((name) => (name.toWellFormed ? name.toWellFormed() : name.replace(/\p{Surrogate}/gu, "\ufffd")));

  function bytes(text) {
    const n = text.length;
    const rest = n % 5;
    const out = new Uint8Array(Math.floor(n / 5) * 4 + Math.max(0, rest - 1));
    const digit = (at) => (at < n ? value[text.charCodeAt(at)] : 84);
    let to = 0;
    for (let i = 0; i < n; i += 5) {
      const head = ((digit(i) * 85 + digit(i + 1)) * 85 + digit(i + 2)) * 85 + digit(i + 3);
      const four = head * 85 + digit(i + 4);
      out[to++] = four >>> 24;  // what lies beyond the end is not kept
      out[to++] = four >>> 16;
      out[to++] = four >>> 8;
      out[to++] = four;
    }
    return out;
  }

  async function inflate(packed) {
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function decode(name) {
    const entry = doc.blocks[name];
    if (!entry) return null;
    const element = document.getElementById(`block-${name}`);
    let raw = bytes(element.textContent);
    element.remove();
    if (entry.deflate) raw = await inflate(raw);
    if (entry.dtype === "json") return JSON.parse(new TextDecoder().decode(raw));
    const kind = ARRAYS[entry.dtype];
    const size = kind.BYTES_PER_ELEMENT;
    if (entry.planes) {
      const n = raw.length / size;
      const woven = new Uint8Array(raw.length);
      for (let p = 0; p < size; p++) for (let i = 0, from = p * n, to = p; i < n; i++, to += size) woven[to] = raw[from + i];
      raw = woven;
    }
    const flat = new kind(raw.buffer, 0, raw.length / size);
    if (entry.delta) for (let i = 1; i < flat.length; i++) flat[i] += flat[i - 1];
    return flat;
  }

  const held = new Map();
  // An array (or the JSON) by its name; null where the page has none.
  function block(name) {
    if (!held.has(name)) held.set(name, decode(name));
    return held.get(name);
  }
  const blocks = (...wanted) => Promise.all(wanted.map(block));

  // ---- rows: filled by `open`, before any view is shown ---------------------------------------------------
  const own = { type: null, name: null, dose: null, wells: null, scale: null };
  const named = rows.types.map(() => new Map());

  async function open() {
    [own.type, own.name, own.dose, own.wells, own.scale, own.vectors, own.map, own.p, own.q] = await blocks(
      "row_type", "row_name", "row_dose", "row_wells", "row_scale", "vectors", "activity_map", "activity_p", "activity_q");
    for (let i = 0; i < rows.n; i++) {
      const of = named[own.type[i]];
      if (of.has(own.name[i])) of.get(own.name[i]).push(i);
      else of.set(own.name[i], [i]);
    }
    for (const of of named) for (const list of of.values()) list.sort((a, b) => own.dose[a] - own.dose[b] || a - b);
  }

  const GENE = 0;
  const COMPOUND = 1;
  const index = new Map(names.map((name, i) => [name, i]));
  return {
    doc, names, block, blocks, open, own, GENE, COMPOUND,
    n: rows.n,
    types: rows.types,
    words: ["gene", "compound"],
    title: doc.title,
    index: (name) => index.get(name),
    aliases: doc.aliases || [],
    // The rows of a name (its index), by concentration; none: an empty list.
    rowsOf: (type, name) => named[type].get(name) || [],
    namesOf: (type) => [...named[type].keys()],
    count: (type) => named[type].size,
    name: (row) => names[own.name[row]],
    dose: (row) => (own.dose[row] ? rows.doses[own.dose[row] - 1] : null),
    there: (row) => !own.scale || own.scale[row] > 0,
    why: (view) => doc.missing[view],
  };
})();
