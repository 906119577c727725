// Addresses: of views within the page (its fragment), and of public databases by name (built, never fetched).
const Links = (() => {
  const { make, bdi } = Pieces;

  // "#gene/BRAF?with=1" <-> {view, parts, query}; a part may hold several names between commas.
  function read(hash) {
    const [path, after] = hash.replace(/^#/, "").split(/\?(.*)/s);
    const plain = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
    const [view, ...parts] = path.split("/");
    return { view: plain(view) || "map", parts: parts.map(plain), raw: parts, query: new URLSearchParams(after || ""), plain };
  }
  function to(view, parts = [], query = {}) {
    const asked = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const tail = asked.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
    const path = [view, ...parts.map((part) => (Array.isArray(part) ? part.map(encodeURIComponent).join(",") : encodeURIComponent(part)))];
    return `#${path.join("/")}${tail ? `?${tail}` : ""}`;
  }
  const ofName = (type, name, query) => to(Data.words[type], [Data.names[name]], query);
  const ofRow = (row, query) => ofName(Data.own.type[row], Data.own.name[row], { dose: Data.dose(row), ...query });
  const name = (type, at, query) => make("a", { href: ofName(type, at, query) }, bdi(Data.names[at]));

  const OUT = [
    [["NCBI Gene", "https://www.ncbi.nlm.nih.gov/gene/?term=", "[sym] AND human[orgn]"],
      ["Ensembl", "https://www.ensembl.org/Homo_sapiens/Gene/Summary?g=", ""],
      ["UniProt", "https://www.uniprot.org/uniprotkb?query=", " AND organism_id:9606"],
      ["GeneCards", "https://www.genecards.org/cgi-bin/carddisp.pl?gene=", ""],
      ["DepMap", "https://depmap.org/portal/gene/", ""]],
    [["PubChem", "https://pubchem.ncbi.nlm.nih.gov/#query=", ""],
      ["ChEMBL", "https://www.ebi.ac.uk/chembl/g/#search_results/all/query=", ""],
      ["DrugBank", "https://go.drugbank.com/unearth/q?searcher=drugs&query=", ""],
      ["Probes and drugs", "https://www.probes-drugs.org/compounds/?q=", ""]],
  ];
  function out(type, at) {
    const text = Data.names[at];
    return make("ul", { class: "out", "aria-label": "Look this name up elsewhere" }, OUT[type].map(([title, before, after]) =>
      make("li", {}, make("a", { href: before + encodeURIComponent(text + after), rel: "noreferrer noopener", target: "_blank" }, title))));
  }

  return { read, to, ofName, ofRow, name, out };
})();
