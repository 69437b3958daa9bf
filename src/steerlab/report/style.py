"""Style sheet and script of the report page: light and dark, narrow windows, print, sortable tables."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#1a1d21;--soft:#596069;--page:#f5f6f8;--card:#fff;--line:#d9dde3;--accent:#1f5fb4;
--mark:#e8f0fb;--yes:#fde3d3;--cut:#fbdcd9}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a2a9b3;--page:#15181c;--card:#1e2227;--line:#363c45;
--accent:#86b6f5;--mark:#24364f;--yes:#5a3a22;--cut:#56302d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
main{max-width:74rem;margin:0 auto;padding:1rem}
h1{font-size:1.05rem;font-weight:600;color:var(--soft);margin:.5rem 0}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem}
h3{font-size:1rem;margin:0 0 .4rem}
p{max-width:65ch;margin:.4rem 0}
.verdict{font-size:clamp(1.25rem,3.2vw,1.8rem);line-height:1.3;font-weight:600;max-width:48rem;margin:.3rem 0 1rem}
.facts{color:var(--soft);display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;padding:0;margin:0;list-style:none}
.soft,.note{color:var(--soft);font-size:.9rem}
.cards{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));align-items:start}
figure{margin:0;background:#fff;color:#1a1d21;border:1px solid var(--line);border-radius:8px;padding:.7rem;
max-width:40rem}
figure svg{display:block;width:100%;height:auto}
figcaption{font-size:.85rem;color:#4c535b;margin-top:.3rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;margin:.5rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .7rem;text-align:right;border-bottom:1px solid var(--line);vertical-align:top}
tr>:first-child{text-align:left}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
tbody th{font-weight:500}
tr.marked>*{background:var(--mark);font-weight:700}
table.words td,table.words th{text-align:left}
thead button{all:unset;cursor:pointer;font-weight:600}
thead button:focus-visible,summary:focus-visible{outline:2px solid var(--accent)}
th[aria-sort=ascending] button::after{content:" ▲"}
th[aria-sort=descending] button::after{content:" ▼"}
details{margin:.5rem 0}
summary{cursor:pointer;color:var(--accent)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--page);border:1px solid var(--line);border-radius:6px;
padding:.6rem;margin:.4rem 0;font:.82rem/1.45 ui-monospace,monospace;max-height:28rem;overflow:auto}
article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.8rem;margin:.8rem 0}
.two{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}
.two>*{min-width:0}
mark{background:var(--yes);color:inherit}
.tall{max-height:32rem;overflow:auto}
.tall .scroll{margin:0}
@media(max-width:40rem){
 table.stacked thead{position:absolute;clip-path:inset(50%);height:1px;overflow:hidden}
 table.stacked tr{display:block;border-bottom:1px solid var(--line);padding:.4rem 0}
 table.stacked tbody tr:last-child{border-bottom:0}
 table.stacked th,table.stacked td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.12rem .8rem}
 table.stacked th{font-weight:700}
 table.stacked td.none{display:none}
 table.stacked td::before{content:attr(data-label);color:var(--soft)}
}
@media print{
 :root{--ink:#000;--soft:#444;--page:#fff;--card:#fff;--line:#bbb;--accent:#000;--mark:#eee;--yes:#eee;--cut:#eee}
 body{font-size:11pt}pre,.tall{max-height:none;overflow:visible}.scroll{overflow:visible}
 figure,article,tr{break-inside:avoid}h2{break-after:avoid}
 .cards{grid-template-columns:1fr 1fr}
}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button"; button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows], text = row => row.cells[place].textContent;
      const numeric = rows.some(row => !isNaN(parseFloat(text(row))));
      const key = row => { const n = parseFloat(text(row)); return isNaN(n) ? -Infinity : n; };
      rows.sort((a, b) => numeric ? key(a) - key(b) : text(a).localeCompare(text(b)));
      if (!down) rows.reverse();
      table.tBodies[0].replaceChildren(...rows);
    });
  });
}
addEventListener("beforeprint", () => { for (const d of document.querySelectorAll("details")) d.open = true; });
"""
