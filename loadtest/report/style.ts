import { Html } from './markup.ts';

// Colours that are distinguishable with any colour vision (after Okabe and Ito), with a contrast of at
// least 3 : 1 in both themes; dashes and textures repeat the distinction.

const dark = `
  --paper: #141416; --card: #1c1d20; --ink: #ecebe8; --soft: #a8a6a0; --rule: #313236; --accent: #5cb3ec;
  --good: #4cc38a; --warn: #e6b450; --bad: #ff7b72; --bad-paper: #3a1d1b;
  --c0: #4da6e8; --c1: #f09a54; --c2: #3ecf9f; --c3: #e08ac0; --c4: #e3c04c; --c5: #9fb4ff; --c6: #85878f; --c7: #d98b80;
  --texture: #14141659;`;

export const style = new Html(`
:root {
  color-scheme: light dark;
  --paper: #f8f7f4; --card: #ffffff; --ink: #1d1d1f; --soft: #66645f; --rule: #e3e0da; --accent: #0067a6;
  --good: #14784a; --warn: #8a5a00; --bad: #b3261e; --bad-paper: #fdecea;
  --c0: #0072b2; --c1: #d0610a; --c2: #00896a; --c3: #b04a8b; --c4: #96790a; --c5: #5663c9; --c6: #8b8d94; --c7: #a0503f;
  --texture: #ffffff73;
  --serif: "Iowan Old Style", Charter, "Palatino Linotype", Palatino, Georgia, "Noto Serif", serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) { :root {${dark}
} }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 var(--sans); font-variant-numeric: tabular-nums; overflow-wrap: break-word; }
main, header, footer { max-width: 1120px; margin: 0 auto; padding: 0 32px; }
header { padding-top: 64px; }
h1, h2, .lead { font-family: var(--serif); font-weight: 500; letter-spacing: -0.01em; }
h1 { font-size: clamp(30px, 5vw, 46px); line-height: 1.12; margin: 8px 0 20px; text-wrap: balance; }
h2 { font-size: 25px; margin: 0 0 4px; }
h3 { font-size: 15px; font-weight: 600; margin: 0; }
p { margin: 0; }
section { margin-top: 64px; }
.soft { color: var(--soft); }
.small { font-size: 14px; }
.eyebrow { color: var(--soft); font-size: 14px; }
.verdict { border-top: 3px solid var(--warn); padding: 18px 0 0; }
.verdict strong { display: block; color: var(--warn); font: 500 28px/1.2 var(--serif); letter-spacing: -0.01em; }
.verdict.swift { border-top-color: var(--good); }
.verdict.swift strong { color: var(--good); }
.verdict.broken, .verdict.invalid { background: var(--bad-paper); border-top-color: var(--bad); padding: 18px 20px; }
.verdict.broken strong, .verdict.invalid strong { color: var(--bad); }
.lead { font-size: 21px; line-height: 1.4; margin-top: 6px; max-width: 46em; text-wrap: pretty; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 24px 32px; margin: 40px 0 0; }
.figures div { border-top: 1px solid var(--rule); padding-top: 12px; }
.figures dt { color: var(--soft); font-size: 14px; }
.figures dd { margin: 2px 0 0; font-size: 27px; line-height: 1.2; letter-spacing: -0.02em; }
.shares { display: flex; height: 20px; gap: 2px; margin-top: 24px; }
.shares i { min-width: 0; flex-basis: 0; background: var(--of); }
.s0 { --of: var(--good); } .s1 { --of: var(--c0); } .s2 { --of: var(--c1); } .s3 { --of: var(--bad); }
.parts { display: grid; grid-template-columns: repeat(4, 1fr); gap: 20px 32px; margin: 16px 0 0; }
.parts div { border-left: 4px solid var(--of); padding-left: 12px; }
.parts dt { font-size: 14px; }
.parts dd { margin: 0; line-height: 1.35; }
.parts dd:nth-of-type(1) { font-size: 27px; line-height: 1.25; letter-spacing: -0.02em; }
.waits { margin-top: 36px; }
.waits > div { display: grid; grid-template-columns: 180px 130px 190px 1fr; gap: 0 20px; align-items: center; border-bottom: 1px solid var(--rule); padding: 9px 0; }
.waits .head { color: var(--soft); font-size: 14px; padding-top: 0; }
.waits .head span:nth-child(n + 2), .waits b { text-align: right; }
.waits b { font-weight: 600; }
.waits .late { color: var(--warn); }
.waits p { margin-top: 10px; }
.span { position: relative; height: 16px; background: linear-gradient(var(--rule), var(--rule)) center / 100% 1px no-repeat; }
.span i { position: absolute; top: 0; bottom: 0; }
.span .second { border-left: 1px dashed var(--ink); }
.span .from { top: 4px; bottom: 4px; min-width: 3px; background: var(--c0); }
.figures + .wide { margin-top: 36px; }
.judged { font-family: var(--serif); font-size: 21px; line-height: 1.4; margin: 4px 0 6px; }
.wide { overflow-x: auto; margin-top: 20px; }
.wide:focus-visible { outline: 2px solid var(--accent); outline-offset: 4px; }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
th, td { text-align: left; vertical-align: top; padding: 9px 24px 9px 0; border-bottom: 1px solid var(--rule); }
th { font-weight: 400; }
thead th { color: var(--soft); font-size: 14px; padding-top: 0; vertical-align: bottom; }
.n { text-align: right; }
td.n { white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
.ours { font-weight: 600; }
.ok { color: var(--good); }
.fail { color: var(--bad); }
td .ok, td .fail { white-space: nowrap; }
td .fail { font-weight: 650; }
.breaches { margin: 20px 0 0; padding: 0; list-style: none; }
.breaches li { border-left: 3px solid var(--bad); background: var(--bad-paper); padding: 10px 16px; margin-top: 8px; font-size: 15px; }
code, pre { font-family: var(--mono); font-size: 13.5px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: 14px 16px; margin: 20px 0 0; }
.plots { display: grid; grid-template-columns: 1fr 1fr; gap: 48px 40px; margin-top: 28px; }
.plot { margin: 0; min-width: 0; break-inside: avoid; }
.plot.whole { grid-column: 1 / -1; }
.plot.whole .frame { height: 260px; }
.plot figcaption { display: flex; gap: 10px; align-items: baseline; margin-bottom: 16px; }
.plot figcaption p { color: var(--soft); font-size: 14px; }
.plot .none { color: var(--soft); font-size: 14px; border: 1px dashed var(--rule); border-radius: 6px; padding: 24px 16px; }
.frame { position: relative; height: 190px; margin: 0 8px 34px 56px; }
.frame > svg { display: block; width: 100%; height: 100%; overflow: visible; }
.y span, .x span, .marks span { position: absolute; font-size: 12px; line-height: 1; color: var(--soft); white-space: nowrap; }
.y span { right: 100%; margin-right: 8px; transform: translateY(50%); }
.x span { top: 100%; margin-top: 8px; transform: translateX(-50%); }
.marks span { top: -13px; color: var(--ink); }
.marks .row1 { top: -27px; }
.marks .row2 { top: -41px; }
.rows2 { margin-top: 32px; }
.rows3 { margin-top: 46px; }
.marks .after { transform: translateX(-2px); }
.marks .before { transform: translateX(-100%); }
path { vector-effect: non-scaling-stroke; }
.grid { stroke: var(--rule); stroke-width: 1; }
.mark { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 1 3; }
.line { fill: none; stroke-width: 1.75; stroke-linejoin: round; stroke-linecap: round; }
.dashed { stroke-dasharray: 5 4; stroke-width: 1.5; }
.area { stroke: var(--paper); stroke-width: 0.75; }
.texture { fill: none; }
.t1 { fill: url(#rows); } .t2 { fill: url(#columns); } .t3 { fill: url(#grid); }
.texture-line { stroke: var(--texture); stroke-width: 1; }
${Array.from({ length: 8 }, (_, n) => `.line.c${n} { stroke: var(--c${n}); } .area.c${n} { fill: var(--c${n}); }`).join('\n')}
.legend { list-style: none; margin: 0; padding: 0 0 0 56px; font-size: 13.5px; line-height: 1.4; }
.legend li { display: flex; gap: 8px; align-items: center; padding: 2px 0; }
.legend span { min-width: 0; }
.legend b { margin-left: auto; padding-left: 12px; font-weight: 400; color: var(--soft); text-align: right; }
.swatch { flex: none; width: 22px; height: 12px; }
.now { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--accent); pointer-events: none; }
.now span { position: absolute; bottom: 4px; left: 5px; font-size: 12px; line-height: 1; background: var(--paper); color: var(--accent); padding: 2px 3px; white-space: nowrap; }
.now.left span { left: auto; right: 5px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 40px; align-items: start; }
footer { margin-top: 72px; padding-bottom: 56px; color: var(--soft); font-size: 14px; }
@media (max-width: 860px) { .plots, .pair { grid-template-columns: minmax(0, 1fr); } .pair section + section { margin-top: 64px; } }
@media (max-width: 560px) {
  main, header, footer { padding-left: 20px; padding-right: 20px; }
  header { padding-top: 36px; }
  section { margin-top: 52px; }
  .lead { font-size: 19px; }
  .figures + .wide { margin-top: 36px; }
.judged { font-size: 19px; }
  .parts { grid-template-columns: 1fr 1fr; gap: 20px 16px; }
  .waits > div { grid-template-columns: 1fr auto 7em; gap: 0 16px; }
  .span { grid-column: 1 / -1; margin-top: 4px; }
  .stacks thead { display: none; }
  .stacks, .stacks tbody { display: block; }
  .stacks tr { display: grid; grid-template-columns: 4.6em 1fr; border-bottom: 1px solid var(--rule); padding: 10px 0; }
  .stacks td { border: 0; padding: 0; }
  .stacks td:last-child { grid-column: 2; }
  .folds thead { display: none; }
  .folds, .folds tbody, .folds tr, .folds th { display: block; }
  .folds tr { display: grid; grid-template-columns: 1fr 1fr 1fr; gap: 4px 16px; border-bottom: 1px solid var(--rule); padding: 12px 0; }
  .folds th, .folds td { border: 0; padding: 0; }
  .folds th { grid-column: 1 / -1; font-weight: 600; }
  .folds td.n { text-align: left; }
  .folds td::before { content: attr(data-of); display: block; color: var(--soft); font-size: 13px; }
  .figures { grid-template-columns: 1fr 1fr; gap: 20px; }
  .figures dd { font-size: 23px; }
  .x span:nth-child(even) { visibility: hidden; }
  .legend { padding-left: 0; }
  th, td { padding-right: 16px; }
}
@media print {
  :root { --paper: #ffffff; }
  body { font-size: 11pt; }
  header { padding-top: 0; }
  .plots { grid-template-columns: 1fr 1fr; gap: 28px; }
  section { margin-top: 36px; }
  .area, .texture, .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`);
