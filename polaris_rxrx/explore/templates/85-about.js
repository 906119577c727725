// What the page is made of, what is missing, and what its numbers mean.
const About = (() => {
  const { make, count, plural } = Pieces;
  const { doc } = Data;

  const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

  function tree(value) {
    if (value === null || typeof value !== "object") return make("span", {}, value === null ? Pieces.DASH : String(value));
    if (Array.isArray(value) && value.every((item) => item === null || typeof item !== "object")) return make("span", {}, value.join(", "));
    return make("dl", {}, Object.entries(value).map(([key, inside]) => [make("dt", {}, key), make("dd", {}, tree(inside))]));
  }
  const drawer = (title, value) => make("details", { class: "tree" }, make("summary", {}, title), tree(value));

  function counts() {
    const related = doc.relations ? doc.relations.sources.map((s) => `${s.name} ${count(s.end - s.start)}`).join(", ") : null;
    return Pieces.facts([
      ["Genes", count(Data.count(Data.GENE))], ["Compounds", count(Data.count(Data.COMPOUND))], ["Rows", count(Data.n)], ["Features", count(doc.rows.width)],
      related && ["Known relations", count(doc.relations.sources.reduce((sum, s) => sum + s.end - s.start, 0)), related],
    ]);
  }

  const MEANINGS = [
    ["Cosine", "How alike two profiles are: 1 the same direction, 0 nothing shared, \u22121 opposite. Profiles are kept in 8 bits a feature, which moves a cosine by about 0.0005 (standard deviation) from that in 64 bits."],
    ["Rank", "Among all rows of the neighbor's type, without those of the same name; 1 is the highest cosine."],
    ["Percentile", "The share of the null whose cosine is lower. The null is all pairs of the two types, or a million drawn ones."],
    ["Activity p", "Whether wells are nearer to each other than to control wells. Of an inactive row a high cosine means little: there is nothing in its profile but noise. A full dot: active at 5% after correction for all that were tested."],
    ["Target", "An annotated affinity at or below the stated bound. Known relations are those of the sources named in each mark."],
    ["Points", "A picture of the map in two dimensions. Distances in it are not measures; cosines are."],
    ["Enriched complexes", "The hypergeometric chance that a list shares so many genes with a set, among the genes of this map; corrected by Bonferroni and by Benjamini and Hochberg."],
  ];

  function show() {
    const missing = Object.entries(doc.missing);
    const sides = doc.activity ? doc.activity.sides : [];
    return { title: "About", parts: [
      make("h2", { tabindex: -1 }, "About this page"), counts(),
      sides.length ? make("p", {}, sides.map((s) => `${s.type === "CRISPR" ? "Genes" : "Compounds"}: ${plural(s.n_tested, "was", "were")} tested for activity, ${(100 * s.share_active).toFixed(1)}% are active. `)) : null,
      doc.notes.length ? [make("h3", {}, "Notes"), make("ul", {}, doc.notes.map((note) => make("li", {}, sentence(note))))] : null,
      missing.length ? [make("h3", {}, "What is not here"), make("ul", {}, missing.map(([view, why]) => make("li", {}, make("strong", {}, view), `: ${sentence(why)}`)))] : null,
      make("h3", {}, "What the numbers mean"),
      make("dl", { class: "meanings" }, MEANINGS.map(([term, text]) => [make("dt", {}, make("strong", {}, term)), make("dd", {}, text)])),
      make("h3", {}, "Keys"),
      make("p", {}, "/ goes to the search; arrows and Enter choose in it. On the map and on heat maps arrows move, + and \u2212 zoom, 0 shows all."),
      make("h3", {}, "Where it comes from"), drawer("Map and inputs", doc.provenance),
      ...["relations", "targets", "activity", "complexes", "points", "spread"].filter((key) => doc[key]).map((key) => drawer(key[0].toUpperCase() + key.slice(1), doc[key])),
    ].flat() };
  }

  return { show, counts };
})();
