/// The style sheet of the page. Every colour is a variable with one value on light and one on dark paper.
enum PictureStyle {
  // Lines have a contrast of three to one at least with their paper, text four and a half; the colours differ for eyes
  // that see no red, no green or no blue (after Okabe and Ito, darkened for white paper and lightened for black), and each
  // has a shape of its own (`Plot.shape`).
  static let sheet = """
    :root{color-scheme:light dark;--paper:#fff;--ink:#1a1a1a;--faint:#5a5f66;--grid:#e3e6ea;--axis:#8b929b;--panel:#f5f6f8;
    --good:#00694e;--bad:#b3261e;--c0:#0062a8;--c1:#c64b00;--c2:#007a5a;--c3:#a53f7f;--c4:#856400;--c5:#1f86c0;--c6:#62676e;--c7:#5b3fb0}
    @media (prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e8eaed;--faint:#a4abb4;--grid:#2a2f36;--axis:#7b838d;
    --panel:#1d2126;--good:#4fd1a5;--bad:#ff8a80;--c0:#58a6ee;--c1:#ff8b45;--c2:#3dc9a0;--c3:#e58cc4;--c4:#d8b13a;--c5:#9ad4f5;
    --c6:#a9b0b8;--c7:#b6a3f7}}
    *{box-sizing:border-box}
    body{margin:0 auto;padding:20px 24px 48px;max-width:1640px;background:var(--paper);color:var(--ink);
    font:14px/1.45 system-ui,-apple-system,"Segoe UI","Liberation Sans","DejaVu Sans",sans-serif}
    h1{font-size:20px;line-height:1.25;margin:0 0 12px;overflow-wrap:anywhere}
    h2{font-size:15px;margin:0;overflow-wrap:anywhere}
    a{color:inherit}
    .tiles{display:flex;flex-wrap:wrap;gap:8px;margin:0 0 20px;padding:0;list-style:none}
    .tiles li{background:var(--panel);border-radius:6px;padding:7px 14px;min-width:120px}
    .tiles span{display:block;color:var(--faint);font-size:12px}
    .tiles b{font-size:18px;font-weight:600;font-variant-numeric:tabular-nums}
    .tiles i{font-style:normal;color:var(--faint);font-size:12px;display:block}
    .good b{color:var(--good)}.bad b{color:var(--bad)}
    .figures{columns:2 640px;column-gap:32px}
    figure{margin:0 0 26px;break-inside:avoid}
    figcaption p{margin:0;color:var(--faint);font-size:12.5px}
    figure>svg{display:block;width:100%;height:auto;margin-top:4px}
    .keys{display:flex;flex-wrap:wrap;gap:2px 16px;margin:2px 0 0;padding:0 0 0 8%;list-style:none;font-size:12.5px}
    .keys li{display:flex;align-items:center;gap:6px;overflow-wrap:anywhere}
    .keys svg{width:30px;height:12px;flex:none}
    svg text{font-size:12px;fill:var(--ink)}
    .e{text-anchor:end}.m{text-anchor:middle}svg text.d{fill:var(--faint)}svg text.n{font-weight:600;font-size:13px}
    .g{stroke:var(--grid);fill:none}.a{stroke:var(--axis);fill:none}
    .c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}
    .c6{color:var(--c6)}.c7{color:var(--c7)}
    .l{stroke:currentColor;fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
    .b{stroke-dasharray:6 4;stroke-linecap:butt;stroke-width:1.4}.i{stroke-dasharray:.1 4;stroke-width:2.2}
    .p,.f{fill:currentColor}.o{fill:none;stroke:currentColor;stroke-width:1.4;stroke-dasharray:5 3}
    .h{fill:transparent}.h:hover{fill:var(--axis);fill-opacity:.18}
    .w{fill:var(--bad)}.v{fill-opacity:.16}
    .q1,.q2,.q3,.q4,.q5,.q6{stroke:currentColor;fill:none;shape-rendering:crispEdges}
    .q1{stroke-opacity:.34}.q2{stroke-opacity:.46}.q3{stroke-opacity:.58}.q4{stroke-opacity:.72}.q5{stroke-opacity:.86}
    .tables section{margin:0 0 24px}.tables h2{margin:0 0 6px}
    .scroll{overflow-x:auto}
    table{border-collapse:collapse;font-variant-numeric:tabular-nums}
    th,td{padding:3px 12px 3px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid);overflow-wrap:break-word;
    max-width:64ch}
    th{color:var(--faint);font-weight:500;font-size:12.5px}
    .r{text-align:right;white-space:nowrap}
    pre{background:var(--panel);border-radius:6px;padding:10px 14px;margin:0;white-space:pre-wrap;overflow-wrap:anywhere;
    font:12.5px/1.5 ui-monospace,"Liberation Mono","DejaVu Sans Mono",monospace}
    @media print{body{padding:0}.tiles li,pre{border:1px solid var(--grid)}}

    """
}
