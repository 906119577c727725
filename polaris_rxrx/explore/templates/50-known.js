// What is known of pairs, and how active a row is: the marks beside every cosine.
const Known = (() => {
  const { make, chance, known } = Pieces;
  const { doc, own } = Data;
  const ACTIVE = 0.05;

  const open = () => Data.blocks("relation_first", "relation_second", "target_compound", "target_gene", "target_nM");

  // Name of a related gene -> its sources, for a gene.
  async function relations(gene) {
    const [first, second] = await open();
    const found = new Map();
    if (!first) return found;
    for (const source of doc.relations.sources) {
      for (let i = source.start; i < source.end; i++) {
        const other = first[i] === gene ? second[i] : second[i] === gene ? first[i] : -1;
        if (other < 0) continue;
        if (!found.has(other)) found.set(other, []);
        found.get(other).push(source.name);
      }
    }
    return found;
  }

  // Every related pair among these names: "a,b" (a < b) -> sources.
  async function among(names) {
    const [first, second] = await open();
    const found = new Map();
    if (!first) return found;
    const wanted = new Set(names);
    for (const source of doc.relations.sources) {
      for (let i = source.start; i < source.end; i++) {
        if (!wanted.has(first[i]) || !wanted.has(second[i])) continue;
        const key = `${first[i]},${second[i]}`;
        if (!found.has(key)) found.set(key, []);
        found.get(key).push(source.name);
      }
    }
    return found;
  }

  // Name of a gene -> nM for a compound, or of a compound -> nM for a gene.
  async function targets(type, name) {
    const [, , compound, gene, nM] = await open();
    const found = new Map();
    if (!compound) return found;
    const [mine, theirs] = type === Data.COMPOUND ? [compound, gene] : [gene, compound];
    for (let i = 0; i < mine.length; i++) if (mine[i] === name) found.set(theirs[i], nM[i]);
    return found;
  }

  const isTarget = (nM) => nM <= doc.targets.active;
  function potency(nM) {
    return nM < 1000 ? `${+nM.toPrecision(3)} nM` : `${+(nM / 1000).toPrecision(3)} \u00b5M`;
  }
  const word = (nM) => (isTarget(nM) ? "target" : nM > doc.targets.inactive ? "inactive" : "weak");

  // What is known of a subject and each name: {of(type, name) -> {sources, nM}}.
  async function of(type, name) {
    const related = type === Data.GENE ? await relations(name) : new Map();
    const bound = await targets(type, name);
    return {
      related, bound,
      of: (other, at) => ({
        sources: (type === Data.GENE && other === Data.GENE && related.get(at)) || [],
        nM: other !== type && bound.has(at) ? bound.get(at) : NaN,
      }),
    };
  }
  function tags({ sources, nM }) {
    return [...sources.map((source) => make("span", { class: "tag" }, source)),
      known(nM) ? make("span", { class: isTarget(nM) ? "tag target" : "tag" }, `${word(nM)} ${potency(nM)}`) : null];
  }
  const text = ({ sources, nM }) => [...sources, known(nM) ? `${word(nM)} ${potency(nM)}` : null].filter(Boolean).join(" ");

  // ---- activity --------------------------------------------------------------------------------------------
  const tested = (row) => Boolean(own.p) && known(own.p[row]);
  const active = (row) => tested(row) && own.q[row] <= ACTIVE;
  function activity(row) {
    if (!own.p) return Pieces.DASH;
    if (!tested(row)) return make("span", { class: "act no", title: "Too few wells to be tested" }, "not tested");
    const told = active(row) ? "Active: differs from controls" : "Inactive: does not differ from controls";
    return make("span", { class: `act ${active(row) ? "yes" : "no"}`, title: `${told} (corrected p ${chance(own.q[row])})` },
      chance(own.p[row]), make("span", { class: "unseen" }, active(row) ? " (active)" : " (inactive)"));
  }

  return { relations, among, targets, of, tags, text, potency, isTarget, word, tested, active, activity, ACTIVE };
})();
