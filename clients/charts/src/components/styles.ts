// The style sheet of both components. Made by script, so that a strict Content-Security-Policy lets it be.
import { themes, TWINS } from "../theme.ts";

function variables(theme: string): string {
  return Object.entries(themes[theme])
    .map(([name, value]) => {
      const twin = TWINS[name];
      return `--_${name}:var(--acumen-${name},${twin ? `var(--acumen-${twin},${value})` : value});`;
    })
    .join("");
}

const CSS = `
:host{display:block;position:relative;min-width:0}
:host([hidden]){display:none}
[hidden]{display:none!important}
.outer{display:flex;flex-direction:column;height:100%;min-width:0}
.root{${variables("light")}--_border:var(--acumen-border,var(--_grid));color-scheme:light;
box-sizing:border-box;contain:layout style;
flex:1 1 auto;min-height:0;min-width:0;display:flex;flex-direction:column;position:relative;overflow:hidden;
background:var(--_background);color:var(--_text);font:13px/1.4 var(--_font);
border-radius:var(--acumen-radius,8px);
text-align:start;-webkit-text-size-adjust:100%}
.root.dark{${variables("dark")}color-scheme:dark}
.root *{box-sizing:border-box}
.head{flex:none;display:flex;flex-wrap:wrap;align-items:flex-start;gap:6px 12px;
padding:12px 12px 0 var(--_pad,16px);min-height:0}
.head:empty{display:none}
.title{flex:1 1 120px;min-width:0;margin:0;padding-top:3px;font-size:15px;line-height:1.3;font-weight:600;
overflow-wrap:anywhere;display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden}
.subtitle{display:block;font-size:12px;font-weight:400;color:var(--_muted)}
.toolbar{display:flex;gap:2px;margin-inline-start:auto;position:relative}
.controls{flex:none;display:flex;flex-wrap:wrap;gap:6px;padding:8px var(--_pad,16px) 0}
.controls .dates,.controls .filter{display:inline-flex;gap:6px;min-width:0}
button,select,input{font:inherit;color:inherit}
select,input{height:30px;max-width:190px;min-width:0;padding:0 8px;border:1px solid var(--_axis);
border-radius:6px;
background:var(--_background)}
input[type=search]{width:150px}
input::placeholder{color:var(--_muted);opacity:1}
.icon{display:inline-flex;align-items:center;justify-content:center;width:28px;height:28px;padding:0;
border:0;
border-radius:6px;background:none;color:var(--_muted);cursor:pointer}
.icon:hover,.icon[aria-expanded=true]{background:var(--_track);color:var(--_text)}
:focus-visible{outline:2px solid var(--_accent);outline-offset:1px}
.menu{position:absolute;z-index:3;top:32px;inset-inline-end:0;display:flex;flex-direction:column;
min-width:96px;padding:4px;
background:var(--_background);border:1px solid var(--_border);border-radius:8px;
box-shadow:0 4px 16px rgb(0 0 0/.18)}
.menu button{padding:6px 10px;border:0;border-radius:5px;background:none;text-align:start;cursor:pointer}
.menu button:hover{background:var(--_track)}
.legend{display:flex;flex-wrap:wrap;gap:2px 6px;padding:6px calc(var(--_pad,16px) - 6px) 0;max-height:82px;
overflow:auto;flex:none}
.legend button{display:inline-flex;align-items:center;gap:6px;max-width:220px;padding:3px 6px;border:0;
border-radius:5px;
background:none;cursor:pointer;font-size:12px}
.legend button:hover{background:var(--_track)}
.legend span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.legend i{flex:none;width:10px;height:10px;border-radius:2.5px}
.legend i.dash{height:2px;border-radius:0}
.legend [aria-pressed=false]{color:var(--_muted);text-decoration:line-through}
.legend [aria-pressed=false] i{opacity:.3}
.main{flex:1 1 auto;min-height:0;position:relative;display:flex;flex-direction:column}
.plot{flex:1 1 auto;min-height:0;position:relative;touch-action:pan-y;border-radius:6px;outline-offset:-3px}
.plot svg.acumen-drawing{position:absolute;inset:0;display:block;overflow:visible}
.acumen-heatmap text,.acumen-sankey text{pointer-events:none}
.plot [data-on]:not(.acumen-ribbon){stroke:var(--_text);stroke-width:2;paint-order:stroke}
.plot .acumen-ribbon[data-on]{stroke-opacity:.75}
.plot .acumen-metric[data-on]{stroke:none;text-decoration:underline;text-decoration-thickness:2px}
.line{position:absolute;background:var(--_axis);pointer-events:none}
.dot{position:absolute;width:9px;height:9px;margin:-4.5px 0 0 -4.5px;border-radius:50%;
border:2px solid var(--_background);
pointer-events:none}
.dot.on{width:13px;height:13px;margin:-6.5px 0 0 -6.5px}
.tip{position:absolute;z-index:2;top:0;left:0;max-width:min(280px,90%);padding:8px 10px;
background:var(--_background);
border:1px solid var(--_border);border-radius:8px;box-shadow:0 4px 16px rgb(0 0 0/.16);pointer-events:none;
font-size:12px}
.tip b{display:block;font-weight:600;margin-bottom:2px;overflow-wrap:anywhere}
.tip div{display:flex;align-items:center;gap:8px}
.tip div span{flex:1;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;
color:var(--_muted)}
.tip div.on span{color:var(--_text);font-weight:600}
.tip em{font-style:normal;font-variant-numeric:tabular-nums}
.tip i{flex:none;width:9px;height:9px;border-radius:2.5px}
.sheet{flex:1 1 auto;min-height:0;overflow:auto;margin:8px 4px 4px;padding:0 calc(var(--_pad,16px) - 4px);
outline-offset:-2px}
table{border-collapse:collapse;width:100%;font-size:12px;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--_grid);text-align:start;font-weight:400;
vertical-align:top;
overflow-wrap:anywhere}
th:last-child,td:last-child{padding-inline-end:0}
thead th{position:sticky;top:0;background:var(--_background);color:var(--_muted);font-weight:600;
white-space:nowrap;max-width:24em;overflow:hidden;text-overflow:ellipsis}
thead button{padding:0;border:0;background:none;font-weight:600;cursor:pointer;color:inherit}
[aria-sort=ascending] button::after{content:" ↑"}
[aria-sort=descending] button::after{content:" ↓"}
.number{text-align:end;white-space:nowrap}
tfoot td{border:0;color:var(--_muted)}
.note{flex:none;padding:0 var(--_pad,16px) 10px;font-size:11px;color:var(--_muted)}
.note:empty{display:none}
.note .bad{color:var(--_negative)}
.state{position:absolute;inset:0;display:flex;flex-direction:column;align-items:center;
justify-content:center;gap:10px;
padding:16px;text-align:center;overflow:auto}
.state p{margin:0;max-width:44em;overflow-wrap:anywhere}
.state .detail{font-size:11px;color:var(--_muted)}
.root[data-state=loading] .controls:not(:focus-within){visibility:hidden}
.state .row{display:flex;gap:8px}
.state button{padding:5px 14px;border:1px solid var(--_axis);border-radius:6px;background:none;
cursor:pointer}
.state button:hover{background:var(--_track)}
.bones{display:flex;align-items:flex-end;gap:4%;position:absolute;inset:16px 20px 20px}
.bones i{flex:1;background:var(--_track);border-radius:4px;animation:breathe 1.6s ease-in-out .6s infinite}
.bones i:nth-child(1){height:38%}.bones i:nth-child(2){height:56%}.bones i:nth-child(3){height:44%}
.bones i:nth-child(4){height:72%}.bones i:nth-child(5){height:60%}.bones i:nth-child(6){height:84%}
.root[aria-busy=true]::before{content:"";position:absolute;z-index:4;top:0;left:0;height:2px;width:30%;
background:var(--_accent);transform:translateX(-100%);
animation:pass 1.4s ease-in-out .6s infinite}
@keyframes breathe{50%{opacity:.45}}
@keyframes pass{from{transform:translateX(-100%)}to{transform:translateX(340%)}}
@media(prefers-reduced-motion:reduce){.bones i,.root[aria-busy=true]::before{animation:none}}
.unseen{position:absolute;width:1px;height:1px;margin:-1px;padding:0;overflow:hidden;clip-path:inset(50%);
white-space:nowrap;
border:0}
.board{padding:var(--acumen-dashboard-padding,16px);overflow:visible;border-radius:0;
background:var(--acumen-dashboard-background,#f3f4f6);container-type:inline-size}
.root.dark.board{background:var(--acumen-dashboard-background,#0b0d11)}
.board .state{position:static;min-height:140px}
.board>.head{padding:0 0 14px;align-items:center}
.board>.head .title{flex:1 1 auto;font-size:20px;padding:0}
.board .controls{flex:0 1 auto;padding:0}
.grid{display:grid;grid-template-columns:repeat(12,minmax(0,1fr));grid-auto-rows:14px;gap:16px;
min-height:60px;position:relative}
.grid>*{grid-column:var(--_x,auto)/span var(--_w,6);grid-row:var(--_y,auto)/span var(--_h,10)}
.card{background:var(--_background);border:1px solid var(--_border);border-radius:var(--acumen-radius,8px);
overflow:hidden}
.card acumen-chart{height:100%}
.words{padding:12px 16px;overflow:auto}
.card img{width:100%;height:100%;object-fit:contain;display:block}
@container (max-width:900px){.grid>*{grid-column:auto/span var(--_m,12);grid-row:auto/span var(--_h,10)}}
@container (max-width:560px){.grid>*{grid-column:1/-1}.board>.head .controls{order:3;flex-basis:100%}}
@media print{.toolbar,.controls,.tip,.line,.dot{display:none!important}.root{overflow:visible}
.board{background:none;padding:0}.card{break-inside:avoid}}
`;

let sheet: CSSStyleSheet | undefined;

/** Give the shadow root the style of the components. */
export function dress(root: ShadowRoot): void {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  root.adoptedStyleSheets = [sheet];
}
