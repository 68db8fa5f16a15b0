// @ts-check
/**
 * The search of the book, and its keys: `/` searches, Escape leaves. All words must be in a
 * section; a word in a heading counts more than one in the text.
 */
(() => {
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  const up = script.dataset["up"] ?? "";
  const input = /** @type {HTMLInputElement} */ (document.querySelector("input[type=search]"));
  const list = /** @type {HTMLElement} */ (document.querySelector("ol.found"));
  /** @type {{ t: string, h: string, u: string, x: string, all: string }[]} */
  let sections = [];

  /** @param {string} text */
  const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

  function search() {
    if (sections.length === 0) {
      const book = /** @type {any} */ (globalThis).TITAN_BOOK ?? [];
      sections = book.map((/** @type {any} */ each) =>
        ({ ...each, all: `${each.t} ${each.h} ${each.x}`.toLowerCase() }));
    }
    const words = wordsOf(input.value);
    const found = words.length === 0 ? [] : sections
      .filter(({ all }) => words.every((word) => all.includes(word)))
      .map((section) => ({ section, rank: rank(section, words) }))
      .sort((a, b) => b.rank - a.rank).slice(0, 12);
    list.replaceChildren(...found.map(({ section }) => row(section, words[0] ?? "")));
    const isEmpty = words.length > 0 && found.length === 0;
    if (isEmpty) list.append(note("Nothing has all of these words."));
    list.hidden = words.length === 0;
  }

  /** @param {{ t: string, h: string, all: string }} section @param {string[]} words */
  function rank({ t, h, all }, words) {
    const head = `${t} ${h}`.toLowerCase();
    return words.reduce((sum, word) =>
      sum + (head.includes(word) ? 20 : 0) + Math.min(5, all.split(word).length), 0);
  }

  /** @param {{ t: string, h: string, u: string, x: string }} section @param {string} word */
  function row({ t, h, u, x }, word) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = up + u;
    link.textContent = h === "" ? t : `${t} · ${h}`;
    const at = Math.max(0, x.toLowerCase().indexOf(word) - 40);
    const text = document.createElement("small");
    text.textContent = `${at > 0 ? "…" : ""}${x.slice(at, at + 140)}…`;
    item.append(link, text);
    return item;
  }

  /** @param {string} text */
  function note(text) {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }

  input.addEventListener("input", search);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape") {
      input.value = "";
      search();
      input.blur();
    }
  });
})();
