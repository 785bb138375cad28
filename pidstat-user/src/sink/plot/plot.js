// Makes a plot answer: the line under the pointer comes forward and says its name, time and value; the legend shows and
// hides. All text goes in as text.
(() => {
'use strict';
const NS = 'http://www.w3.org/2000/svg';
const make = (tag, cls, into) => {
  const e = document.createElementNS(NS, tag);
  if (cls) e.setAttribute('class', cls);
  if (into) into.append(e);
  return e;
};
const pad = n => String(n).padStart(2, '0');

function prepare(svg) {
  const area = svg.querySelector('.area');
  if (!area) return;
  const from = +svg.dataset.from, box = area.viewBox.baseVal;
  const width = box.width + 2 * box.x, height = box.height + 2 * box.y;
  const lines = [];
  for (const path of area.querySelectorAll('.line')) {
    const title = path.querySelector('title'), g = path.parentNode.dataset;
    lines[+path.dataset.i] = {path, name: title.textContent.trim(), second: +g.second, unit: +g.unit, low: +g.low,
      log: g.log === 'true', band: path.classList.contains('band'), matrix: path.parentNode.transform.baseVal[0].matrix, units: path.dataset.unit};
    title.remove();
  }
  // The native hints of the dots would lie over ours.
  for (const title of area.querySelectorAll('.dot title')) title.remove();

  // Points as they stand in the path: steps from the last one; a gap is a point without a value.
  const points = line => {
    if (line.xs) return line;
    const xs = [], ys = [];
    let x = 0, y = 0;
    for (const piece of line.path.getAttribute('d').split('m').slice(1)) {
      if (xs.length) { xs.push(x); ys.push(NaN); }
      const n = piece.match(/-?\d+/g).map(Number);
      for (let i = 0; i + 1 < n.length; i += 2) { xs.push(x += n[i]); ys.push(y += n[i + 1]); }
    }
    if (line.band) { // the edge above, then the edge below from the right to the left
      const n = xs.length / 2;
      line.lows = ys.splice(n).reverse();
      xs.length = n;
    }
    line.xs = xs; line.ys = ys;
    return line;
  };
  const place = (line, i) => [line.xs[i] * line.matrix.a, line.ys[i] * line.matrix.d + line.matrix.f];
  const first = (xs, x) => { // the first index whose place is not before x
    let a = 0, b = xs.length;
    while (a < b) { const m = (a + b) >> 1; if (xs[m] < x) a = m + 1; else b = m; }
    return a;
  };
  const value = (line, i) => {
    if (line.band) return Math.abs(line.ys[i] - line.lows[i]) * line.unit;
    const v = line.low + line.ys[i] * line.unit;
    return line.log ? 10 ** v : v;
  };
  const number = v => {
    const trim = s => s.includes('.') && !s.includes('e') ? s.replace(/\.?0+$/, '') : s;
    switch (svg.dataset.format) {
      case 'integer': return String(Math.trunc(v));
      case 'raw': case 'significant': return String(+v.toPrecision(7));
      case 'human': {
        const o = v ? Math.floor(Math.log(Math.abs(v)) / Math.log(1000)) : 0;
        return trim((v / 1000 ** o).toFixed(3)) + (o > 0 ? 'kMGTPEZY'[o - 1] : o < 0 ? 'mµnpfazy'[-o - 1] : '');
      }
      default: return String(+v.toPrecision(6));
    }
  };
  const when = s => {
    if (svg.dataset.relative !== 'true')
      return new Date(Math.round((from + s) * 1000)).toISOString().replace('T', ' ').replace(/(\.000)?Z$/, '') + ' UTC';
    const w = Math.floor(s), d = Math.floor(w / 86400);
    const ms = Math.round((s - w) * 1000);
    return (d ? d + (d > 1 ? ' days, ' : ' day, ') : '') + Math.floor(w / 3600) % 24 + ':' + pad(Math.floor(w / 60) % 60) + ':'
      + pad(w % 60) + (ms ? '.' + String(ms).padStart(3, '0') : '');
  };

  const over = make('g', 'over', area), tip = make('g', 'tip', svg);
  const cross = make('path', 'cross');
  area.querySelector('.hit').after(cross);
  let shown = -1;

  // One line in front of the others; `at` is the point that the hint is about.
  const bring = (i, at) => {
    if (i !== shown) {
      shown = i;
      over.replaceChildren();
      svg.classList.toggle('dim', i >= 0);
      if (i >= 0) {
        const {path} = lines[i];
        const g = make('g', '', over);
        g.setAttribute('transform', path.parentNode.getAttribute('transform'));
        for (const cls of ['halo ', '']) {
          const copy = make('path', cls + path.getAttribute('class').replace('line', ''), g);
          copy.setAttribute('d', path.getAttribute('d'));
        }
      }
    }
    tip.replaceChildren();
    const old = over.querySelector('.mark');
    if (old) old.remove();
    cross.setAttribute('d', '');
    if (i < 0 || at === undefined) return;
    const line = lines[i], [x, y] = place(line, at);
    const mark = make('circle', 'mark ' + (line.path.getAttribute('class').match(/c\d+/) || [''])[0], over);
    mark.setAttribute('cx', x); mark.setAttribute('cy', y); mark.setAttribute('r', 4.5);
    cross.setAttribute('d', `M${x} 0v${height}`);
    const rect = make('rect', '', tip), text = make('text', '', tip);
    const row = (s, cls, dy) => {
      const t = make('tspan', cls, text);
      t.setAttribute('x', 0); t.setAttribute('dy', dy); t.textContent = s;
    };
    row(line.name.length > 80 ? line.name.slice(0, 79) + '…' : line.name, 'strong unit', 0);
    row(number(value(line, at)) + (line.units ? ' ' + line.units : ''), 'strong', 18);
    row(when(line.xs[at] * line.second), '', 17);
    const size = text.getBBox(), ox = area.x.baseVal.value - box.x, oy = area.y.baseVal.value - box.y;
    rect.setAttribute('x', size.x - 9); rect.setAttribute('y', size.y - 6); rect.setAttribute('rx', 5);
    rect.setAttribute('width', size.width + 18); rect.setAttribute('height', size.height + 12);
    const all = svg.viewBox.baseVal;
    let tx = ox + x + 20, ty = oy + y - 20;
    if (tx + size.width + 14 > all.width) tx = ox + x - size.width - 20;
    tx = Math.max(12, tx);
    ty = Math.min(Math.max(ty, 24), all.height - size.height - 4);
    tip.setAttribute('transform', `translate(${tx} ${ty})`);
  };

  let due = 0;
  const look = event => {
    const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(area.getScreenCTM().inverse());
    let best = -1, at = 0, least = 30;
    lines.forEach((line, i) => {
      if (line.hidden) return;
      points(line);
      const {xs, ys, matrix: m} = line;
      const x = p.x / m.a, k = first(xs, x);
      if (line.band) {
        if (!(k > 0 && k < xs.length)) return;
        const j = x - xs[k - 1] < xs[k] - x ? k - 1 : k;
        const edges = [ys[j], line.lows[j]].map(y => y * m.d + m.f).sort((a, b) => a - b);
        if (p.y >= edges[0] && p.y <= edges[1] && least > 1) { least = 1; best = i; at = j; }
        return;
      }
      // The stroke between two points is as good to point at as the points are.
      if (k > 0 && k < xs.length && !isNaN(ys[k]) && !isNaN(ys[k - 1])) {
        const part = (x - xs[k - 1]) / ((xs[k] - xs[k - 1]) || 1);
        const y = (ys[k - 1] + (ys[k] - ys[k - 1]) * part) * m.d + m.f;
        const d = Math.abs(y - p.y);
        if (d < least) { least = d; best = i; at = part < .5 ? k - 1 : k; }
      }
      for (const j of [k - 1, k]) {
        if (!(j in xs) || isNaN(ys[j])) continue;
        const [px, py] = place(line, j), d = Math.hypot(px - p.x, py - p.y);
        if (d < least) { least = d; best = i; at = j; }
      }
    });
    bring(best, at);
  };
  area.addEventListener('pointermove', event => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(() => look(event));
  });
  area.addEventListener('pointerleave', () => { cancelAnimationFrame(due); bring(-1); });

  const hide = (i, yes) => { lines[i].hidden = yes; lines[i].path.classList.toggle('hidden', yes); };
  const items = () => svg.querySelectorAll('.item');
  const mark = () => items().forEach(e => e.classList.toggle('off', !!lines[+e.dataset.i].hidden));
  for (const item of items()) {
    const i = () => +item.dataset.i;
    item.addEventListener('pointerenter', () => { if (!lines[i()].hidden) bring(i()); });
    item.addEventListener('pointerleave', () => bring(-1));
    item.addEventListener('click', event => {
      if (event.shiftKey || event.ctrlKey) lines.forEach((l, j) => hide(j, j !== i()));
      else hide(i(), !lines[i()].hidden);
      bring(-1); mark();
    });
    item.addEventListener('dblclick', () => { lines.forEach((l, j) => hide(j, false)); mark(); });
  }
  // A legend that holds more than it shows turns with the wheel.
  for (const legend of svg.querySelectorAll('.legend[data-order]')) {
    const order = legend.dataset.order.split(' ').map(Number), rows = [...legend.querySelectorAll('.item')];
    let start = 0;
    const fold = legend.querySelector('.fold');
    const turn = () => {
      rows.forEach((row, k) => {
        const i = order[start + k], line = lines[i];
        row.dataset.i = i;
        row.querySelector('path').setAttribute('class', line.path.getAttribute('class').replace('line', ''));
        const [name, detail] = row.querySelectorAll('tspan');
        name.textContent = line.name.length > 34 ? line.name.slice(0, 33) + '…' : line.name;
        detail.textContent = '';
      });
      if (fold) fold.textContent = `${start + 1} to ${start + rows.length} of ${order.length}; the wheel turns`;
      mark();
    };
    legend.addEventListener('wheel', event => {
      event.preventDefault();
      const step = Math.sign(event.deltaY) * (event.shiftKey ? rows.length : 3);
      start = Math.max(0, Math.min(order.length - rows.length, start + step));
      turn();
    }, {passive: false});
  }
}
document.querySelectorAll('svg.plot').forEach(prepare);
})();
