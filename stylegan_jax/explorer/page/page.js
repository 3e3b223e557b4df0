// The page: builds the controls of a network, and draws whenever its state changes.

import {
  byId, directionControls, labelControls, mixControls, noiseControls, seedControls,
  truncationControls,
} from './controls.js';
import { dragControls } from './drag.js';
import { get, Newest, Thumbnails } from './drawing.js';
import { fileControls } from './files.js';
import { Jobs } from './jobs.js';
import { Liked } from './liked.js';
import { Messages } from './messages.js';
import { padControls } from './pad.js';
import { photoControls } from './photo.js';
import { State } from './state.js';
import { Player } from './walk.js';

const messages = new Messages(byId('status'));
const report = (text) => messages.report(text);
const onError = (error) => messages.error(error);

function keys(actions) {
  const typed = 'input:not([type="range"]):not([type="checkbox"]), select, textarea';
  document.addEventListener('keydown', (event) => {
    if (event.target.matches(typed)) return;
    if ((event.ctrlKey || event.metaKey) && event.key === 'z') {
      event.preventDefault();
      messages.acted();
      actions.u();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrows = event.key?.startsWith('Arrow');
    if (arrows && event.target.matches('input')) return; // they move the slider
    const key = event.key ?? ''; // none where the browser fills in a form
    const action = actions[key.length === 1 ? key.toLowerCase() : key];
    if (!action) return;
    event.preventDefault();
    messages.acted();
    action();
  });
}

async function start() {
  const facts = await (await get('network')).json();
  const name = facts.network.split(/[\\/]/).filter(Boolean).pop();
  document.title = `${name} · stylegan_jax`;
  byId('title').textContent = `${facts.network} · ${facts.width}×${facts.height}`;
  const canvas = byId('picture');
  byId('frame').style.aspectRatio = `${facts.width} / ${facts.height}`;

  const state = new State(facts);
  let player;
  const liked = new Liked(state, canvas, onError);
  const newest = new Newest(canvas, facts, (picture) => {
    liked.shown = picture;
    if (document.body.dataset.ready !== 'true') {
      document.body.dataset.ready = 'true';
      report('Ready.');
    }
    canvas.title = `drawn in ${newest.milliseconds.toFixed(0)} ms`;
    if (!newest.busy) player.shown(); // one frame at a time
  }, (error) => {
    player.pause();
    onError(error);
  });
  const thumbnails = new Thumbnails(newest, facts, onError);
  player = new Player(state, liked, onError);

  const seeds = seedControls(state);
  truncationControls(state);
  labelControls(state);
  mixControls(state);
  thumbnails.add(byId('mix-picture'), () => state.ofSeed(state.style.mix.seed));
  directionControls(state);
  padControls(state, thumbnails);
  const noise = noiseControls(state);
  const files = fileControls(state, () => liked.shown, report, onError);
  state.redraw = (picture) => newest.draw(() => structuredClone(picture));
  const jobs = new Jobs(report, onError);
  const photos = photoControls(
    state, jobs, newest, () => player.pause(), report, onError,
  );
  dragControls(state, jobs, report);
  byId('undo').addEventListener('click', () => state.undo());
  state.listeners.push(() => { byId('undo').disabled = !state.past.length; });
  keys({
    u: () => state.undo(),
    b: photos.compare,
    ArrowLeft: seeds.previous,
    ArrowRight: seeds.next,
    r: seeds.random,
    p: () => player.toggle(),
    l: () => liked.add(),
    n: noise.newNoise,
    s: files.saveImage,
    d: files.saveLatent,
    '?': () => { byId('help').open = !byId('help').open; },
  });
  state.listeners.push(() => {
    byId('caption').textContent = state.describe();
    newest.draw(() => structuredClone(state.picture));
    thumbnails.changed();
  });
  state.changed();
}

start().catch(onError);
