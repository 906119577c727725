// The view that the address names; search, colors and keys of the whole page.
(() => {
  const { make } = Pieces;
  const main = document.getElementById("main");
  const VIEWS = { gene: Perturbation.show, compound: Perturbation.show, about: About.show, list: List.show, map: Points.show, plates: Plates.show };
  let turn = 0;
  let quiet = false;

  // Go to an address; `stay` keeps the place on the page (a choice within a view).
  function go(address, stay = false) {
    if (address === location.hash) return;
    if (stay) {
      history.replaceState(null, "", address);
      render(true);
    } else location.hash = address;
  }

  async function render(stay) {
    const mine = ++turn;
    const link = Links.read(location.hash);
    const view = VIEWS[link.view] || (() => ({ title: "Not found", parts: [make("h2", { tabindex: -1 }, "There is no such view"), make("p", {}, make("a", { href: "#map" }, "To the map"))] }));
    for (const anchor of document.querySelectorAll("nav a")) {
      if (anchor.getAttribute("href") === `#${link.view}`) anchor.setAttribute("aria-current", "page");
      else anchor.removeAttribute("aria-current");
    }
    main.setAttribute("aria-busy", "true");
    const made = await view(link, go);
    if (mine !== turn) return;
    const focused = stay ? mark(document.activeElement) : null;
    main.replaceChildren(...made.parts.flat().filter(Boolean));
    if (made.after) made.after();
    document.title = `${made.title} \u2013 ${Data.title}`;
    main.setAttribute("aria-busy", "false");
    if (stay) restore(focused);
    else {
      scrollTo(0, 0);
      if (!quiet) main.querySelector("h2").focus({ preventScroll: true });
    }
    quiet = false;
  }

  // Where the focus was, by kind and text, so that a choice does not throw a reader back to the page's head.
  function mark(element) {
    if (!element || !main.contains(element)) return null;
    const same = [...main.querySelectorAll(element.tagName)];
    return { tag: element.tagName, value: element.value, label: element.getAttribute("aria-label"), text: element.textContent, at: same.indexOf(element) };
  }
  function restore(was) {
    if (!was) return;
    const same = [...main.querySelectorAll(was.tag)];
    const found = same.find((e) => e.value === was.value && e.getAttribute("aria-label") === was.label && e.textContent === was.text && (e.value || was.text)) || same[was.at];
    (found || main.querySelector("h2")).focus({ preventScroll: true });
  }

  function theme() {
    const button = document.getElementById("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
    const change = () => {
      button.textContent = dark() ? "Light colors" : "Dark colors";
      Pieces.setScale();
      document.dispatchEvent(new Event("colors"));
    };
    button.addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; change(); });
    system.addEventListener("change", change);
    button.hidden = false;
    change();
  }

  function keys(input) {
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      event.preventDefault();
      input.focus();
    });
    document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
  }

  async function start() {
    theme();
    if (typeof DecompressionStream === "undefined") {
      main.append(make("p", { class: "banner" }, "This page needs a browser of 2023 or later (DecompressionStream)."));
      return;
    }
    await Data.open();
    const input = document.getElementById("search");
    Search.combobox(input, (entry) => go(Links.ofName(entry.type, entry.name)));
    keys(input);
    addEventListener("hashchange", () => render(false));
    quiet = true;
    await render(false);
  }

  start();
})();
