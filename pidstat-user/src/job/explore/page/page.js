// The page of `kpidstat explore`: a list of views, a picture, and SQL. What comes from the recording goes in as text.
'use strict';
const $ = id => document.getElementById(id);
const fields = ['after', 'before', 'pids', 'window', 'epsilon'];
const groups = [['lines', 'Each process'], ['areas', 'Totals'], ['processes', 'Processes']];
let views = [], view = null, turn = 0;

const element = (tag, text, into) => {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (into) into.append(e);
  return e;
};
const trouble = words => { $('trouble').hidden = !words; $('trouble').textContent = words || ''; };
const ask = async address => {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer;
};

// The picture of the chosen view, or of the text in the box where that was changed.
async function draw() {
  const wish = new URLSearchParams();
  if (view) wish.set('view', view.id);
  const sql = $('sql').value;
  if (!view || sql.trim() !== view.sql.trim()) wish.set('sql', sql);
  for (const field of fields) if ($(field).value.trim()) wish.set(field, $(field).value.trim());
  if ($('log').checked) wish.set('log', '1');
  const mine = ++turn, frame = $('picture'), address = 'plot.svg?' + wish;
  frame.classList.add('wait');
  try {
    // Asked for by itself first, so that a refusal is read here and not in the frame.
    await ask(address);
    if (mine !== turn) return;
    trouble();
    frame.onload = () => {
      const svg = frame.contentDocument && frame.contentDocument.documentElement;
      const box = svg && svg.viewBox && svg.viewBox.baseVal;
      if (box && box.width) frame.style.aspectRatio = `${box.width}/${box.height}`;
      if (svg && svg.removeAttribute) { svg.removeAttribute('width'); svg.removeAttribute('height'); }
      frame.classList.remove('wait');
    };
    frame.src = address;
    $('save').href = address + '&whole=1';
    $('save').download = (view ? view.id : 'plot') + '.svg';
  } catch (error) {
    if (mine !== turn) return;
    frame.classList.remove('wait');
    trouble(error.message);
  }
}

async function table() {
  $('said').textContent = 'running …';
  try {
    const {columns, rows, more, ms} = await (await ask('rows?' + new URLSearchParams({sql: $('sql').value}))).json();
    trouble();
    $('said').textContent = `${rows.length}${more ? ' rows of more' : rows.length === 1 ? ' row' : ' rows'}, ${ms} ms`;
    const table = document.createElement('table');
    const head = element('tr', undefined, element('thead', undefined, table));
    for (const column of columns) element('th', column, head);
    const body = element('tbody', undefined, table);
    for (const row of rows) {
      const line = element('tr', undefined, body);
      for (const cell of row) {
        const e = element('td', cell === null ? 'NULL' : String(cell), line);
        if (cell === null) e.className = 'null';
        else if (typeof cell === 'number') e.className = 'number';
        else if (cell.length > 60) e.title = cell;
      }
    }
    $('rows').replaceChildren(table);
  } catch (error) {
    $('said').textContent = '';
    $('rows').replaceChildren();
    trouble(error.message);
  }
}

function choose() {
  view = views.find(v => v.id === location.hash.slice(1)) || views[0];
  for (const link of $('views').querySelectorAll('a'))
    if (link.hash.slice(1) === view.id) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  document.title = view.title + ' · kpidstat explore';
  $('sql').value = view.sql;
  $('rows').replaceChildren();
  $('said').textContent = '';
  draw();
}

async function begin() {
  try {
    const about = await (await ask('views')).json();
    views = about.views;
    const time = ts => typeof ts === 'number' ? new Date(ts * 1000).toISOString().slice(0, 19).replace('T', ' ') : '?';
    $('file').textContent = about.file;
    $('about').textContent = [about.node, `${time(about.first)} to ${time(about.last)} UTC`, `${about.samples} samples`,
      `${about.processes} processes`].filter(Boolean).join(' · ');
    const place = ts => typeof ts === 'number' ? new Date(ts * 1000).toISOString().slice(0, 19) : '';
    $('after').placeholder = place(about.first);
    $('before').placeholder = place(about.last);
    for (const [kind, title] of groups) {
      element('h2', title, $('views'));
      for (const v of views.filter(v => v.kind === kind)) {
        const link = element('a', v.title, $('views'));
        link.href = '#' + v.id;
        if (!v.there) link.className = 'missing';
      }
    }
    choose();
  } catch (error) {
    trouble(error.message);
  }
}

window.addEventListener('hashchange', choose);
$('options').addEventListener('submit', event => { event.preventDefault(); draw(); });
$('log').addEventListener('change', draw);
$('run').addEventListener('click', table);
$('draw').addEventListener('click', draw);
$('sql').addEventListener('keydown', event => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); table(); }
});
begin();
