// The page: one state, and everything that is shown follows from it.

import { Call, CallError, Line, openMicrophone } from './call.js';
import { Gallery, sentence } from './gallery.js';
import { Manner } from './manner.js';
import { Meter } from './meter.js';
import { Panel } from './panel.js';

const STATES = {
  ready: 'Ready',
  asking: 'Asking for the microphone',
  connecting: 'Connecting',
  live: 'Live',
  reconnecting: 'Reconnecting',
  ended: 'Ended',
  failed: 'Not connected',
};
const RUNNING = ['asking', 'connecting', 'live', 'reconnecting'];
const RECONNECT_MS = [400, 1500, 4000];

const $ = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get('token');
const query = token ? `?token=${encodeURIComponent(token)}` : '';
const socketUrl = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws${query}`;

const video = $('avatar');
const panel = new Panel($);
const manner = new Manner({ field: $('prompt'), moods: $('moods'), state: $('manner-state') });
const gallery = new Gallery({ root: $('gallery'), input: $('file'), drop: $('drop'), body: document.body, query });

/** What tests and benchmarks may read. */
const debug = { pc: null, call: null, stats: null, state: 'ready', session: null, clickedAt: null, firstFrameMs: null, frames: 0 };
window.__soul = debug;

let line = new Line(socketUrl);
let call = null;
let meter = null;
let microphone = null;
let attempt = 0;
let turn = 0; // grows with every start and stop: what an older turn awaited is no longer wanted

function enter(state) {
  debug.state = state;
  document.body.dataset.state = state;
  const running = RUNNING.includes(state);
  document.body.classList.toggle('running', running);
  $('state').textContent = STATES[state];
  $('talk-label').textContent = running ? 'Stop' : 'Start talking';
  $('faces').disabled = running;
  manner.told(running ? 'change it at any time' : 'optional');
  gallery.locked = running;
  $('mute').hidden = state !== 'live';
  if (!running) document.body.classList.remove('moving');
}

function complain(text) {
  $('alert').textContent = text;
  if (!text) $('listen-only').hidden = true;
}

function freshLine() {
  if (!line.usable || line.taken) line = new Line(socketUrl);
  return line;
}

async function start({ silent = false } = {}) {
  const mine = (turn += 1);
  complain('');
  debug.clickedAt = performance.now();
  debug.firstFrameMs = null;
  debug.frames = 0;
  if (!gallery.chosen) return complain('Choose a portrait first.');
  freshLine();
  try {
    if (!silent) await listen(mine);
    if (mine === turn) await connect(mine);
  } catch (error) {
    if (mine === turn) fail(error);
  }
}

async function listen(mine) {
  enter('asking');
  const stream = await openMicrophone();
  if (mine !== turn) return stream.getTracks().forEach((track) => track.stop());
  microphone = stream;
  meter = new Meter(stream, showLevel);
}

async function connect(mine) {
  enter(attempt ? 'reconnecting' : 'connecting');
  const fresh = freshLine();
  fresh.taken = true;
  const own = new Call(fresh, microphone);
  call = own;
  Object.assign(debug, { call, pc: call.pc });
  call.addEventListener('track', (event) => {
    video.srcObject = event.detail;
    video.play().catch((error) => {
      // a second track interrupts the first one's play(), which is no trouble at all.
      if (error.name === 'NotAllowedError') complain('The browser has blocked the sound; click the picture to start it.');
    });
  });
  call.addEventListener('stats', (event) => panel.server((debug.stats = event.detail)));
  call.addEventListener('prompted', () => manner.told('changed'));
  call.addEventListener('rtt', (event) => panel.roundTrip(event.detail));
  call.addEventListener('unsteady', (event) => {
    if (debug.state === 'live') $('state').textContent = event.detail ? 'Unsteady connection' : STATES.live;
  });
  call.addEventListener('ended', (event) => ended(mine, event.detail));
  whenSeen(() => firstPicture(own));
  await own.start(gallery.chosen, manner.words);
  debug.session = own.session;
  speakAs(); // it may have changed since
  attend();
  panel.follow(own.pc);
}

/** Calls `seen` at the next picture on the screen, or, in browsers that do not tell, once the video
 *  plays and has a size: sound alone makes it play too. */
function whenSeen(seen) {
  if (video.requestVideoFrameCallback) {
    video.requestVideoFrameCallback(seen);
    return;
  }
  const look = () => {
    if (!video.videoWidth || video.paused) return;
    for (const name of ['playing', 'resize']) video.removeEventListener(name, look);
    seen();
  };
  for (const name of ['playing', 'resize']) video.addEventListener(name, look);
}

/** `own` is the call that the picture was awaited for: one that was lost counts no more. */
function firstPicture(own) {
  if (own !== call) return;
  debug.firstFrameMs ??= performance.now() - debug.clickedAt;
  panel.firstPicture(debug.firstFrameMs);
  attempt = 0;
  enter('live');
  document.body.classList.add('moving');
  const count = () => {
    if (own !== call) return;
    debug.frames += 1;
    video.requestVideoFrameCallback?.(count);
  };
  count();
}

function ended(mine, { reason, code, lost }) {
  panel.unfollow();
  if (mine !== turn) return;
  if (lost && debug.state !== 'connecting' && attempt < RECONNECT_MS.length) return reconnect(mine);
  if (lost || code !== 'ended') return fail(new CallError(code, reason));
  finish('ended');
  complain(reason === 'The conversation was stopped.' ? '' : sentence(reason));
}

function reconnect(mine) {
  const pause = RECONNECT_MS[attempt];
  attempt += 1;
  document.body.classList.remove('moving');
  enter('reconnecting');
  setTimeout(() => {
    if (mine !== turn) return;
    connect(mine).catch((error) => {
      if (mine === turn && !(error instanceof CallError)) fail(error); // `ended` told the others
    });
  }, pause);
}

function fail(error) {
  finish('failed');
  if (!(error instanceof CallError)) console.error(error);
  const known = error instanceof CallError ? error.message : `The call could not be set up (${error.message})`;
  complain(sentence(known));
  $('listen-only').hidden = error.code !== 'microphone';
}

function finish(state) {
  turn += 1;
  attempt = 0;
  const old = call;
  call = null;
  old?.stop();
  panel.unfollow();
  meter?.close();
  meter = null;
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = null;
  video.srcObject = null;
  enter(state);
  if (state === 'ended' || state === 'ready') freshLine();
}

/** Tells the call the words of the field, if they are others than it knows. */
function speakAs() {
  if (call?.setPrompt(manner.words)) manner.told('changing');
}

function attend() {
  call?.setListening($('attend').checked);
}

function showLevel(level) {
  $('glow').style.opacity = level.toFixed(2);
  $('meter').firstChild.style.transform = `scaleX(${level.toFixed(2)})`;
  $('meter').setAttribute('aria-valuenow', Math.round(level * 100));
}

function mute() {
  video.muted = !video.muted;
  $('mute').setAttribute('aria-pressed', video.muted);
  const label = video.muted ? 'Unmute the portrait' : 'Mute the portrait';
  $('mute').setAttribute('aria-label', label);
  $('mute').title = label;
}

function choose() {
  $('still').src = gallery.image;
  if (!gallery.chosen.startsWith('upload:')) sessionStorage.setItem('portrait', gallery.chosen);
}

$('talk').addEventListener('click', () => (RUNNING.includes(debug.state) ? finish('ready') : start()));
$('listen-only').addEventListener('click', () => start({ silent: true }));
$('mute').addEventListener('click', mute);
video.addEventListener('click', () => video.srcObject && video.play().then(() => complain('')));
manner.addEventListener('wanted', speakAs);
$('attend').addEventListener('change', attend);
gallery.addEventListener('chosen', () => {
  complain('');
  choose();
});
gallery.addEventListener('failed', (event) => complain(event.detail));
window.addEventListener('pagehide', () => {
  if (RUNNING.includes(debug.state)) finish('ready');
  line.close(); // a page with an open line is not kept for the way back
});
window.addEventListener('pageshow', (event) => event.persisted && freshLine());
gallery.load(sessionStorage.getItem('portrait')).catch((error) => complain(sentence(error.message)));
enter('ready');
