"""How a page looks, and what it does when it is clicked: styles and a script that stand in the page itself."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --soft: #5c5f66; --line: #d9dbe0; --tint: #f4f5f8;
  --accent: #0a5c96; --warn: #a33b00; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e8e8ea; --soft: #a3a8b1; --line: #363a43;
  --tint: #1f2229; --accent: #7cc0f0; --warn: #ffa066; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { min-width: 0; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .6rem 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
h2 a, h3 a { color: inherit; text-decoration: none; }
h2 a:hover, h3 a:hover { text-decoration: underline; }
p, ul { max-width: 46rem; margin: .6rem 0; }
p, li { overflow-wrap: anywhere; }
a { color: var(--accent); }
code { font: .9em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { overflow-x: auto; background: var(--tint); padding: .7rem .9rem; border-radius: 6px; }
.links, .contents { font-size: .87rem; }
.contents ul { list-style: none; margin: .4rem 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.contents .sub { display: none; }
.question { font-size: 1.15rem; font-weight: 600; }
.answer { background: var(--tint); border-left: 4px solid var(--accent); padding: .7rem 1rem; }
p.answer:has(+ ul.answer) { margin-bottom: 0; padding-bottom: 0; font-weight: 600; }
ul.answer { margin-top: 0; padding: .3rem 1rem .7rem 2.2rem; }
.warning { border-left: 4px solid var(--warn); padding: .4rem 1rem; font-weight: 600; }
.note { font-size: .87rem; color: var(--soft); }
.scroll { overflow-x: auto; margin: .8rem 0;  /* a shadow where there is more to the right */
  background: linear-gradient(to left, var(--page) 40%, transparent) right / 4rem 100% no-repeat local,
    linear-gradient(to left, var(--line), transparent) right / 1.2rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th { text-align: left; vertical-align: bottom; font-weight: 600; border-bottom: 2px solid var(--line); }
th, td { padding: .32rem .6rem; }
td { border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
th[data-sort] { cursor: pointer; }
th[data-sort]:hover, th[data-sort]:focus-visible { color: var(--accent); }
th[aria-sort="ascending"]::after { content: " \\25B2"; } th[aria-sort="descending"]::after { content: " \\25BC"; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--page); }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--accent); }
figure { margin: 1.4rem 0 2rem; max-width: 100%; }
.drawing { overflow-x: auto; }
.drawing svg { display: block; max-width: 100%; height: auto; }
.tip { position: fixed; z-index: 1; pointer-events: none; white-space: pre; padding: .25rem .5rem; border-radius: 4px;
  background: var(--ink); color: var(--page); font-size: .8rem; line-height: 1.35; font-variant-numeric: tabular-nums; }
.clips { display: block; max-width: 100%; margin: .6rem 0; background: #fff; }
figcaption { font-size: .87rem; color: var(--soft); max-width: 46rem; margin-top: .3rem; }
@media (prefers-color-scheme: dark) { .drawing svg { filter: invert(.91) hue-rotate(180deg); } }
@media (min-width: 78rem) { body { max-width: 88rem; display: grid; column-gap: 2rem;
    grid-template-columns: minmax(0, 1fr) 13rem; }
  .first { display: grid; column-gap: 2rem; grid-template-columns: minmax(24rem, 1fr) minmax(0, max-content);
    align-items: start; }
  .first > figure { margin-top: .6rem; }
  .first ul { padding-left: 1.2rem; } .first ul.answer { padding-left: 2rem; }
  .first p, .first li { font-size: .95rem; line-height: 1.45; } .first .question { font-size: 1.1rem; }
  main { grid-column: 1 / -1; grid-row: 1; } .contents + main { grid-column: 1; }
  .contents { grid-column: 2; grid-row: 1; position: sticky; top: 1.2rem; align-self: start;
    max-height: calc(100vh - 2.4rem); overflow-y: auto; }
  .contents ul { display: block; border-left: 2px solid var(--line); padding-left: .8rem; }
  .contents li { margin: .25rem 0; } .contents .sub { display: block; padding-left: .8rem; } }
@media (max-width: 40rem) { body { padding: .6rem .8rem 3rem; }
  .drawing svg { max-width: none; width: max(100%, 30rem); } .drawing.narrow svg { width: 100%; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  th.v, td.v { position: sticky; right: 0; background: var(--page); min-width: 5.6rem; max-width: 7rem;
    white-space: normal; border-left: 1px solid var(--line); }
  .facts td:first-child { position: static; } .facts td { display: block; border: 0; padding: 0 0 .1rem; }
  .facts td + td { padding: 0 0 .7rem; } .facts td:first-child { font-weight: 600; } .facts th { display: none; } }
@media print { :root { --page: #fff; --ink: #000; --soft: #333; --line: #bbb; --tint: #f4f4f4; --accent: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; display: block; } .contents, .links, .tip { display: none; }
  table { font-size: 7pt; } th, td { padding: .15rem .3rem; } td.n { white-space: normal; }
  .facts td { overflow-wrap: anywhere; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .scroll, .drawing { overflow: visible; } .drawing svg { filter: none; max-width: 100%;
  max-height: 105mm; } .tall svg { max-height: 215mm; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  th:first-child, td:first-child { position: static; }
  details::details-content { content-visibility: visible; display: block; height: auto; } }
"""

SCRIPT = """
// A click on a heading sorts its table: numbers by their size, the largest first, words by the alphabet. The baseline
// differs from itself by nothing; what is not known comes last, whichever way.
for (const head of document.querySelectorAll("th[data-sort]")) {
  const sort = () => {
    const body = head.closest("table").tBodies[0], column = head.cellIndex, number = head.dataset.sort === "n";
    const down = head.ariaSort ? head.ariaSort === "ascending" : number, sign = down ? -1 : 1;
    const value = row => {
      const text = row.cells[column].textContent;
      if (!number) return text;
      if (text === "baseline") return 0;
      const found = text.replace(/,/g, "").match(/[-+]?\\d+(\\.\\d+)?( M\\b)?/);
      return found ? parseFloat(found[0]) * (found[2] ? 1e-3 : 1) : null;
    };
    const order = (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (number ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    };
    const rows = [...body.rows].sort((a, b) => order(value(a), value(b)));
    for (const other of head.parentNode.cells) other.ariaSort = null;
    head.ariaSort = down ? "descending" : "ascending";
    body.append(...rows);
  };
  head.tabIndex = 0;
  head.title = "sort";
  head.addEventListener("click", sort);
  head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
// What the marks near a pointer or a finger stand for: of all of them, where some lie on each other.
const tip = document.body.appendChild(document.createElement("div"));
tip.className = "tip";
tip.hidden = true;
for (const drawing of document.querySelectorAll(".drawing")) {
  const marks = [...drawing.querySelectorAll("g > title")].map(title => title.parentNode);
  for (const mark of marks) {
    const title = mark.querySelector("title");
    mark.dataset.tip = title.textContent;
    title.remove();  // else the browser shows it too, a second later
  }
  const near = (mark, event) => {
    const at = mark.getBoundingClientRect(), [x, y] = [event.clientX, event.clientY];
    if (at.width > 30 && at.height > 8) return mark.contains(event.target);  // a bar, a curve
    return x > at.left - 4 && x < at.right + 4 && y > at.top - 4 && y < at.bottom + 4;
  };
  const show = event => {
    const found = marks.filter(mark => near(mark, event));
    tip.hidden = !found.length;
    tip.textContent = found.map(mark => mark.dataset.tip).join("\\n");
    const [right, below] = [innerWidth - tip.offsetWidth - 4, innerHeight - tip.offsetHeight - 4];
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, right))}px`;
    tip.style.top = `${event.clientY + 18 > below ? Math.max(4, event.clientY - tip.offsetHeight - 10)
      : event.clientY + 18}px`;
  };
  for (const name of ["pointermove", "pointerdown"]) drawing.addEventListener(name, show);
  drawing.addEventListener("pointercancel", () => { tip.hidden = true; });
  drawing.addEventListener("pointerleave", event => { tip.hidden ||= event.pointerType !== "touch"; });
}
// A finger that is lifted leaves what it asked for until the next touch.
document.addEventListener("pointerdown", event => { tip.hidden ||= !event.target.closest(".drawing"); });
"""
