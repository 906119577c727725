// A combobox over names: type, arrows, Enter. Names that begin with what was typed come before those that hold it.
const Search = (() => {
  const { make, bdi, count } = Pieces;
  const MOST = 12;
  let entries = null;

  // Every name once for each of its types, then aliases: {text, low, type, name (index), of}.
  function all() {
    if (entries) return entries;
    entries = [];
    for (const type of [Data.GENE, Data.COMPOUND]) {
      for (const name of Data.namesOf(type)) entries.push({ text: Data.names[name], low: Data.names[name].toLowerCase(), type, name });
    }
    for (const [other, name] of Data.aliases) {
      entries.push({ text: other, low: other.toLowerCase(), type: Data.GENE, name, of: Data.names[name] });
    }
    entries.sort((a, b) => a.text.length - b.text.length || (a.low < b.low ? -1 : a.low > b.low ? 1 : 0) || a.type - b.type);
    return entries;
  }

  // The best of those that match, and how many match.
  function find(typed, type) {
    const wanted = typed.trim().toLowerCase();
    if (!wanted) return { best: [], n: 0 };
    const tiers = [[], [], []];
    for (const entry of all()) {
      if (type !== undefined && entry.type !== type) continue;
      const at = entry.low.indexOf(wanted);
      if (at < 0) continue;
      const tier = at === 0 ? (entry.low.length === wanted.length ? 0 : 1) : 2;
      tiers[tier].push(entry);
    }
    const best = tiers.flat();
    return { best: best.slice(0, MOST), n: best.length };
  }

  let made = 0;

  // Make an input a combobox; `onpick(entry)` is told of a choice.
  function combobox(input, onpick, { type, label } = {}) {
    const id = `listbox-${made++}`;
    const list = make("ul", { id, role: "listbox", "aria-label": label || "Genes and compounds found", hidden: true });
    const holder = make("div", { class: "pick" });
    input.replaceWith(holder);
    holder.append(input, list);
    for (const [name, value] of Object.entries({ role: "combobox", "aria-expanded": "false", "aria-controls": id, "aria-autocomplete": "list" })) input.setAttribute(name, value);
    let found = [];
    let at = -1;

    function close() {
      list.hidden = true;
      at = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }
    function mark(next) {
      at = next;
      [...list.children].forEach((option, i) => option.setAttribute("aria-selected", i === at ? "true" : "false"));
      if (at >= 0) {
        input.setAttribute("aria-activedescendant", `${id}-${at}`);
        list.children[at].scrollIntoView({ block: "nearest" });
      } else input.removeAttribute("aria-activedescendant");
    }
    function pick(entry) {
      close();
      input.value = "";
      onpick(entry);
    }
    function refresh() {
      const { best, n } = find(input.value, type);
      found = best;
      list.replaceChildren(...best.map((entry, i) => {
        const option = make("li", { id: `${id}-${i}`, role: "option", "aria-selected": "false" }, bdi(entry.text),
          entry.of ? make("span", { class: "small" }, "now ", bdi(entry.of)) : null, Pieces.kind(entry.type));
        option.addEventListener("mousedown", (event) => { event.preventDefault(); pick(entry); });
        return option;
      }));
      if (!input.value.trim() || !best.length) close();
      else {
        list.hidden = false;
        input.setAttribute("aria-expanded", "true");
        mark(0);
      }
      if (input.value.trim()) Pieces.say(n ? `${count(n)} found.` : "Nothing of this name is on the page.");
    }
    input.addEventListener("input", refresh);
    input.addEventListener("focus", () => { if (input.value.trim()) refresh(); });
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      const n = found.length;
      if (event.key === "Escape") { if (list.hidden) input.value = ""; close(); return; }
      if (event.key === "Enter") {
        if (!list.hidden && at >= 0) { event.preventDefault(); pick(found[at]); }
        return;
      }
      if (!["ArrowDown", "ArrowUp"].includes(event.key)) return;
      event.preventDefault();
      if (list.hidden) { refresh(); return; }
      mark(event.key === "ArrowDown" ? (at + 1) % n : (at - 1 + n) % n);
    });
    return holder;
  }

  return { find, combobox };
})();
