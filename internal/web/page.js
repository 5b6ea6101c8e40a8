// Makes pages quicker where there is JavaScript. Without this file everything still works: dialogs are pages, step-up
// resumes the act on the server (resume.go), and times stand in UTC.
'use strict';

// A link or form that asks something first carries data-dialog or data-fresh.
document.addEventListener('click', async (event) => {
  const link = event.target.closest('a[data-dialog]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.dataset.sent) return; // a double click opens one dialog
  link.dataset.sent = 'yes';
  const result = await openDialog(link.href);
  delete link.dataset.sent;
  if (result !== 'done') link.focus();
});

document.addEventListener('submit', async (event) => {
  const act = event.target, pressed = event.submitter;
  if (!act.matches('form[data-fresh]') || pressed?.hasAttribute('formaction') || act.dataset.fresh === 'now') return;
  event.preventDefault();
  if (act.dataset.sent) return;
  act.dataset.sent = 'yes';
  const state = await fetch('/api/v1/stepup');
  const may = !state.ok || (await state.json()).fresh || await openDialog('/stepup') === 'proved';
  delete act.dataset.sent;
  if (!may) { pressed.focus(); return; }
  act.dataset.fresh = 'now'; // signed out, fresh or just proved: the server has the last word
  act.requestSubmit(pressed);
});

// openDialog shows the dialog of another page on this one. What a fresh proof must come before is shown after it.
async function openDialog(address) {
  const answer = await fetch(address).catch(() => null);
  if (!answer) { location = address; return 'done'; } // let the browser say what is wrong
  const found = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('dialog');
  if (!found) { location = answer.url; return 'done'; }
  const dialog = document.adoptNode(found);
  dialog.removeAttribute('open');
  document.body.append(dialog);
  const closed = new Promise((resolve) => dialog.addEventListener('close', () => { dialog.remove(); resolve(dialog.returnValue); }));
  dialog.addEventListener('click', (e) => { if (e.target.closest('[data-cancel]')) { e.preventDefault(); dialog.close(); } });
  dialog.addEventListener('submit', (e) => {
    if (e.target.matches('[data-stepup]')) prove(e, dialog);
    if (e.target.matches('[data-send]')) resend(e, dialog, address);
  });
  enhance(dialog);
  dialog.dispatchEvent(new Event('opened', { bubbles: true }));
  dialog.showModal();
  document.activeElement.select?.();
  const result = await closed;
  return result === 'proved' && !address.endsWith('/stepup') ? openDialog(address) : result;
}

// prove sends a step-up form over the API, so that the page stays.
async function prove(event, dialog) {
  event.preventDefault();
  if (await send(event.target)) dialog.close('proved');
}

// resend asks for a code from within a dialog, which then says where it went.
async function resend(event, dialog, address) {
  event.preventDefault();
  if (!await send(event.target)) return;
  const page = new DOMParser().parseFromString(await (await fetch(address)).text(), 'text/html');
  dialog.replaceChildren(...page.querySelector('dialog').childNodes);
  enhance(dialog);
  dialog.querySelector('input[autocomplete=one-time-code]')?.focus();
}

// measure says beside a new password how much it lacks. What else is wrong with it the server says.
function measure(input) {
  const hint = document.getElementById(input.id + '-h'), left = input.dataset.least - [...input.value].length;
  hint.dataset.before ??= hint.textContent;
  hint.textContent = input.value === '' ? hint.dataset.before : left > 1 ? `${left} more characters` : left === 1 ? '1 more character' : 'Long enough. Longer is stronger.';
}

// tickAll has one box stand for all of a name in its table.
function tickAll(all) {
  const table = all.closest('table'), boxes = [...table.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]`)];
  const look = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked > 0 && ticked === boxes.length;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
  };
  all.addEventListener('change', () => { for (const box of boxes) box.checked = all.checked; });
  table.addEventListener('change', look);
  addEventListener('pageshow', look); // browsers remember ticks
  look();
}

// countdown keeps a button waiting until another code may be asked for.
function countdown(said) {
  const button = said.closest('form').querySelector('button');
  const tick = () => {
    const left = Math.ceil((new Date(said.dataset.again) - Date.now()) / 1000);
    button.disabled = left > 0;
    said.textContent = left > 0 ? `Resend possible in ${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}` : 'Nothing arrived?';
    if (left > 0 && said.isConnected) setTimeout(tick, 1000);
  };
  if (new Date(said.dataset.again) > Date.now()) tick();
}

// watch looks whether a message could be delivered, for as long as that is open. The page says so if it could not, and
// with data-told if it could, too.
async function watch(form) {
  for (let pause = 1000; form.dataset.state === 'waiting' && form.isConnected && pause < 60000; pause *= 1.5) {
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    const answer = await fetch(form.dataset.watch).catch(() => null);
    if (answer && !answer.ok) return;
    if (answer) form.dataset.state = (await answer.json()).sent?.state;
    if (form.dataset.state === 'failed' || 'told' in form.dataset && form.dataset.state !== 'waiting') location.reload();
  }
}

// send posts a form over the API. It returns the answer, or null once the problem stands at the form.
async function send(form) {
  if (form.dataset.sent) return null; // the same code twice would be a wrong one
  form.dataset.sent = 'yes';
  const answer = await call(form, '', fieldsOf(form));
  if (!answer) delete form.dataset.sent;
  return answer;
}

// call posts fields to the address of a form or below it. Quiet is for what nobody asked for: a problem is not said.
async function call(form, below, fields, quiet = false) {
  const answer = await fetch('/api/v1' + new URL(form.action).pathname + below, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(fields),
  }).catch(() => null);
  if (answer?.ok) return answer.status === 204 ? {} : answer.json();
  if (quiet) return null;
  if (answer?.status === 401) { location.reload(); return null; }
  const problem = answer ? await answer.json() : { detail: 'The server cannot be reached. Please try again.' };
  form.dispatchEvent(new CustomEvent('refused', { detail: problem }));
  say(form, problem.errors ? 'This ' + problem.errors[0].detail + '.' : problem.detail);
  return null;
}

// fieldsOf is what a form would send, but for the act that waits in it. An input with data-json is no text.
function fieldsOf(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    const json = form.querySelector(`[name="${name}"][data-json]`);
    if (!name.startsWith('held_') && (value || !json)) fields[name] = json ? JSON.parse(value) : value;
  }
  return fields;
}

const typed = 'input:not([type=hidden]):not([hidden])';

// say puts a problem where the form's input is, or into another field, and reads it aloud. No text takes it away.
function say(form, text, field = form.querySelector(typed)?.closest('.field') ?? form.querySelector('.field') ?? form) {
  const input = field.querySelector(typed);
  let said = field.querySelector('.error');
  if (!text) {
    said?.remove();
    input?.removeAttribute('aria-invalid');
    field.hidden = !field.childElementCount;
    return;
  }
  if (!said) {
    said = document.createElement('p');
    said.className = 'error';
    said.id = 'said-' + document.querySelectorAll('.error').length;
    said.setAttribute('role', 'alert');
    field.hidden = false;
    field.append(said);
  }
  said.textContent = text;
  if (!input) return;
  input.setAttribute('aria-invalid', 'true');
  input.setAttribute('aria-describedby', said.id);
  input.select();
}

function enhance(root) {
  for (const button of root.querySelectorAll('button[aria-controls][aria-pressed]')) {
    button.addEventListener('click', () => {
      const input = document.getElementById(button.getAttribute('aria-controls'));
      const show = input.type === 'password';
      input.type = show ? 'text' : 'password';
      button.setAttribute('aria-pressed', show);
      button.textContent = show ? 'Hide' : 'Show';
    });
  }
  for (const button of root.querySelectorAll('button[data-copy]')) {
    const label = button.lastChild, text = label.textContent, from = document.getElementById(button.dataset.copy);
    button.addEventListener('click', async () => {
      const lines = from.matches('ol') ? [...from.children] : [from];
      await navigator.clipboard.writeText(lines.map((line) => line.textContent.replaceAll(/\s/g, '')).join('\n'));
      label.textContent = 'Copied';
      setTimeout(() => { label.textContent = text; }, 2000);
    });
  }
  for (const button of root.querySelectorAll('button[data-print]')) button.addEventListener('click', () => print());
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime), clock = time.textContent.includes(':');
    const day = at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' }), bare = /^\d\d:/.test(time.textContent);
    const today = at.toDateString() === new Date().toDateString();
    time.title = at.toString();
    if ('utc' in time.dataset) continue;
    if (clock) time.textContent = (bare ? '' : (today ? 'today' : day) + ', ') + at.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', timeZoneName: 'short' });
    else time.textContent = today ? 'today' : day;
  }
  for (const box of root.querySelectorAll('input[data-all]')) tickAll(box);
  for (const input of root.querySelectorAll('input[data-least]')) input.addEventListener('input', () => measure(input));
  for (const said of root.querySelectorAll('[data-again]')) countdown(said);
  for (const form of root.querySelectorAll('form[data-watch]')) watch(form);
  // Enter and a double click send a form once.
  for (const form of root.querySelectorAll('form[method=post]:not([data-fresh]):not([data-stepup]):not(dialog [data-send])')) {
    form.addEventListener('submit', (e) => { if (form.dataset.sent) e.preventDefault(); form.dataset.sent = 'yes'; });
  }
}

// A page that is shown once asks whoever leaves it before they ticked that they kept it.
addEventListener('beforeunload', (e) => { if (document.querySelector('[data-keep]:not(:checked)')) e.preventDefault(); });

// A page out of the back-forward cache has not sent anything yet.
addEventListener('pageshow', (e) => { if (e.persisted) for (const form of document.forms) delete form.dataset.sent; });

enhance(document);
