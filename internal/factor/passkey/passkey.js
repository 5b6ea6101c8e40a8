// Talks to authenticators: a form with an input data-passkey is answered by one before it is sent. Everything that a
// browser may lack is looked for first, and what is missing is never offered.
'use strict';

const passkeys = {
  capable: Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON && globalThis.PublicKeyCredential?.parseCreationOptionsFromJSON),
  waiting: null, // the conditional request; there may be one request at a time
  site: location.hostname, // the relying party
};

const said = {
  unsupported: 'This browser cannot use passkeys. Use another way, or another browser.',
  insecure: 'Passkeys work over a secure connection only. Open this page with https.',
  gone: 'Nothing was used: it was cancelled, or took too long. Try again when you are ready.',
  known: 'This device already has a passkey for your account.',
  unverified: 'Your device cannot check that it is you. Set up its screen lock or PIN, or use another way.',
  elsewhere: 'Passkeys of this site cannot be used at this address.',
  failed: 'Your device could not do that. Try again, or use another way.',
};

// tell says what is wrong with the device: not at an input, for nothing that was typed is wrong.
const tell = (form, text) => say(form, text, form.querySelector('[data-tells]'));

// inWords says what an authenticator or browser refused. Names: Web Authentication Level 3, sections 5.1.3 and 5.1.4.
function inWords(error, act) {
  switch (error.name) {
    case 'NotAllowedError': case 'AbortError': case 'TimeoutError': return said.gone;
    case 'InvalidStateError': return act === 'create' ? said.known : said.failed;
    case 'ConstraintError': return said.unverified;
    case 'SecurityError': return said.elsewhere;
    case 'NotSupportedError': return said.unsupported;
    default: return said.failed;
  }
}

// Before every other listener: a form waits for its response, then goes its usual way.
document.addEventListener('submit', async (event) => {
  const form = event.target, input = form.querySelector('input[data-passkey]');
  if (!input || input.value && form.matches('[data-stepup]') || form.matches('[data-fresh]') && form.dataset.fresh !== 'now') return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (form.dataset.asking) return;
  form.dataset.asking = 'yes';
  for (const clear of [say, tell]) clear(form, '');
  input.value = await respond(form, input.dataset.passkey);
  const leaves = input.value && await hand(form);
  input.value = ''; // a response works once
  if (leaves) return;
  delete form.dataset.asking;
  if ('fresh' in form.dataset) form.dataset.fresh = ''; // the proof may be over by the next time
  restart();
}, true);

// hand gives a response to the server. It is true once another page comes.
async function hand(form) {
  if (form.matches('[data-stepup]')) { form.requestSubmit(); return false; }
  if (form.hasAttribute('action')) return finish(form);
  form.submit(); // a second step: if the sign-in is over, the page that comes says why and knows where it was going
  return true;
}

// finish sends a response over the API and goes where that leads. It is false if the server refuses.
async function finish(form, quiet = false) {
  form.addEventListener('refused', (e) => { if (e.detail.message === 'passkey.unknown') forget(form); }, { once: true });
  const { password, ...fields } = fieldsOf(form); // a password comes before, with the question
  const done = await call(form, '', fields, quiet);
  if (!done) return false;
  if (!document.querySelector('[data-passkeys]')) { location.assign(done.next); return true; }
  form.closest('dialog')?.close('done');
  await openDialog(done.next); // a name for the new one, on the Security page
  location.assign('/account/security');
  return true;
}

// respond runs a ceremony and returns the response as JSON text, or '' once it is said what went wrong.
async function respond(form, act) {
  passkeys.waiting?.abort();
  if (!globalThis.isSecureContext) { tell(form, said.insecure); return ''; }
  if (!passkeys.capable) { tell(form, said.unsupported); return ''; }
  const options = await ask(form);
  if (!options) return '';
  try {
    return JSON.stringify(await ceremony(act, options, {}));
  } catch (error) {
    tell(form, inWords(error, act));
    return '';
  }
}

// ask gets the options for a form, or null once the problem stands at it.
async function ask(form, more, quiet = false) {
  const { credential, name, return_to, ...fields } = fieldsOf(form);
  const options = await call(form, '/options', { ...fields, ...more }, quiet);
  passkeys.site = options?.rpId ?? passkeys.site;
  return options;
}

async function ceremony(act, options, extra) {
  const made = act === 'create'
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options), ...extra })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options), ...extra });
  return made.toJSON();
}

// Autofill: the browser offers passkeys in the name field, as long as the page is open (S4).
async function autofill() {
  const form = document.querySelector('form[action="/signin/passkey"]:has([name=anew])');
  if (!form || !passkeys.capable || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const options = await ask(form, {}, true);
  if (!options || form.dataset.asking) return;
  const stop = passkeys.waiting = new AbortController();
  const stale = setTimeout(() => { stop.abort(); restart(); }, options.timeout * 0.8);
  const answer = await ceremony('get', options, { mediation: 'conditional', signal: stop.signal }).catch(() => null);
  clearTimeout(stale);
  if (!answer) return; // nobody asked for it, so nobody is told
  await use(form, answer);
}

// use finishes a form with what a browser gave by itself.
async function use(form, answer, quiet = false) {
  if (form.dataset.asking) return; // the person was faster
  const input = form.querySelector('input[data-passkey]');
  form.dataset.asking = 'yes';
  input.value = JSON.stringify(answer);
  const leaves = await finish(form, quiet);
  input.value = '';
  if (leaves) return;
  delete form.dataset.asking;
  restart();
}

function restart() {
  passkeys.waiting?.abort();
  autofill().catch(() => {});
}

// upgrade lets a browser that filled in a password make a passkey without asking (P10).
async function upgrade(form) {
  if (!passkeys.capable || !(await PublicKeyCredential.getClientCapabilities?.().catch(() => null))?.conditionalCreate) return;
  const options = await ask(form, { conditional: true }, true);
  if (!options || form.dataset.asking) return;
  const stop = passkeys.waiting = new AbortController();
  const made = await ceremony('create', options, { mediation: 'conditional', signal: stop.signal }).catch(() => null);
  if (made) await use(form, made, true); // if not, the person may still ask for it
}

// forget tells the provider of a passkey that we do not know it any more.
function forget(form) {
  const used = form.querySelector('input[data-passkey]').value;
  signal('signalUnknownCredential', { rpId: passkeys.site, credentialId: JSON.parse(used).id });
}

// signal calls the Signal API where there is one. It is a courtesy, so nobody hears of a failure.
async function signal(name, about) {
  await globalThis.PublicKeyCredential?.[name]?.(about).catch(() => {});
}

// current tells providers which passkeys work and what their person is called.
async function current() {
  if (!globalThis.PublicKeyCredential?.signalAllAcceptedCredentials) return;
  const answer = await fetch('/api/v1/account/passkeys').catch(() => null);
  const mine = answer?.ok ? await answer.json() : {};
  if (!mine.user_handle) return;
  const common = { rpId: mine.rp_id, userId: mine.user_handle };
  await signal('signalAllAcceptedCredentials', { ...common, allAcceptedCredentialIds: mine.accepted });
  await signal('signalCurrentUserDetails', { ...common, name: mine.login, displayName: mine.name || mine.login });
}

// withdraw takes away what this browser cannot do, and says so where that leaves a question without its answer.
function withdraw(root) {
  for (const link of root.querySelectorAll('[data-passkeys] a.needs-js')) link.hidden = true;
  for (const input of root.querySelectorAll('input[data-passkey]')) {
    const offer = input.closest('.needs-js');
    for (const none of offer ? [offer] : input.form.querySelectorAll('.button.needs-js:not([aria-controls])')) none.hidden = true;
    if (!offer) tell(input.form, globalThis.isSecureContext ? said.unsupported : said.insecure);
  }
}

if (passkeys.capable) { // a hint for the server, worth nothing else: it offers passkeys to browsers that can make them
  document.cookie = 'passkeys=yes; path=/; samesite=lax' + (location.protocol === 'https:' ? '; secure' : '');
} else {
  withdraw(document);
  document.addEventListener('opened', (e) => withdraw(e.target));
}
addEventListener('pageshow', (e) => { // out of the back-forward cache it has not asked anything yet
  if (!e.persisted) return;
  for (const form of document.forms) delete form.dataset.asking;
  restart();
});
restart();
const offered = document.querySelector('form[data-upgrade]');
if (offered) upgrade(offered);
if (document.querySelector('[data-passkeys]') || location.pathname === '/account') current();
