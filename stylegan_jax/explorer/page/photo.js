// A photo: open, crop, project and tune; and the comparison of before and after.

import { byId } from './controls.js';
import { get, put, send } from './drawing.js';
import { latest } from './latest.js';

const ARROWS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};
const SIDE = 320; // pixels of the preview

class Crop {
  // A box with the ratio of the network's images in a preview of the photo.
  constructor(facts) {
    this.facts = facts;
    this.canvas = byId('crop');
    this.size = byId('crop-size');
    this.size.addEventListener('input', () => this.show());
    this.canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.center(event);
    });
    this.canvas.addEventListener('pointermove', (event) => {
      if (this.canvas.hasPointerCapture(event.pointerId)) this.center(event);
    });
    this.canvas.addEventListener('keydown', (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      event.stopPropagation();
      this.x += arrow[0] * this.image.width / 50;
      this.y += arrow[1] * this.image.height / 50;
      this.show();
    });
  }

  open(image) {
    this.image = image; // an ImageBitmap, upright
    this.x = image.width / 2;
    this.y = image.height / 2;
    this.size.value = 100;
    const scale = SIDE / Math.max(image.width, image.height);
    this.canvas.width = Math.max(Math.round(image.width * scale), 1);
    this.canvas.height = Math.max(Math.round(image.height * scale), 1);
    this.show();
  }

  center(event) {
    const frame = this.canvas.getBoundingClientRect();
    this.x = (event.clientX - frame.left) / frame.width * this.image.width;
    this.y = (event.clientY - frame.top) / frame.height * this.image.height;
    this.show();
  }

  box() {
    // [left, top, width, height] in pixels of the photo.
    const { width, height } = this.image;
    const ratio = this.facts.width / this.facts.height;
    const share = this.size.valueAsNumber / 100;
    const w = Math.max(Math.round(share * Math.min(width, height * ratio)), 1);
    const h = Math.max(Math.min(Math.round(w / ratio), height), 1);
    this.x = Math.min(Math.max(this.x, w / 2), width - w / 2);
    this.y = Math.min(Math.max(this.y, h / 2), height - h / 2);
    return [Math.round(this.x - w / 2), Math.round(this.y - h / 2), w, h];
  }

  show() {
    const context = this.canvas.getContext('2d');
    const { width, height } = this.canvas;
    const box = this.box();
    const scale = width / this.image.width;
    const [left, top, w, h] = box.map((x) => x * scale);
    context.drawImage(this.image, 0, 0, width, height);
    context.fillStyle = 'rgba(0, 0, 0, 0.55)';
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(left, top, w, h);
    context.fill('evenodd');
    context.strokeStyle = '#fff';
    context.strokeRect(left, top, w, h);
    byId('crop-shown').textContent = `${box[2]}×${box[3]}`;
  }
}

export function photoControls(state, jobs, newest, pause, report, onError) {
  const { facts } = state;
  const crop = new Crop(facts);
  const file = byId('photo-file');
  let photo = null; // the chosen file
  let target = null; // { name, pixels } of the last projection
  byId('photo-open').addEventListener('click', () => file.click());
  const open = latest(async (signal, chosen) => {
    let image = null;
    try {
      image = await createImageBitmap(chosen, { imageOrientation: 'from-image' });
    } catch { /* The server may know the format, and takes the largest center. */ }
    if (signal.aborted) return;
    photo = chosen;
    if (image) crop.open(image);
    else crop.image = null;
    byId('crop-part').hidden = !image;
    byId('photo-part').hidden = false;
    report(`Opened ${chosen.name}. Choose its part, then project.`);
  }, onError);
  file.addEventListener('change', () => {
    const [chosen] = file.files;
    file.value = ''; // so that the same file can be chosen again
    if (chosen) open(chosen);
  });

  jobs.starter('project', 'Projection', async (signal) => {
    const box = crop.image ? `?box=${crop.box().join()}` : '';
    const { target: name } = await (await send(`target${box}`, photo, signal)).json();
    const answer = await get(`target?target=${encodeURIComponent(name)}`, signal);
    target = { name, pixels: new Uint8Array(await answer.arrayBuffer()) };
    put(byId('target'), target.pixels, facts);
    byId('target-part').hidden = false;
    state.before = { pixels: target.pixels };
    const request = {
      target: target.name, space: byId('space').value, picture: state.picture,
      steps: byId('project-steps').valueAsNumber,
    };
    const found = await jobs.follow('Projection', 'project', request, (line) => {
      state.useResult(line.picture, 'photo');
    });
    report(`Projected: difference of ${found.rms.toFixed(3)} (rms).`);
  });
  jobs.starter('tune', 'Tuning', async () => {
    const request = {
      target: target.name, picture: state.picture, learning_rate: 1e-3,
      steps: byId('tune-steps').valueAsNumber,
    };
    const found = await jobs.follow('Tuning', 'tune', request, (line) => {
      if (line.picture) state.useResult(line.picture, 'tuned photo');
    });
    report(`Tuned: difference of ${found.rms.toFixed(3)} (rms).`);
  });

  // Before and after: while the button is held, or from B to B.
  const button = byId('before');
  let held = false;
  const show = (on) => {
    if (on === held || (on && !state.before)) return;
    held = on;
    if (held) pause(); // a walk would draw over it
    button.setAttribute('aria-pressed', held);
    if (held && state.before.pixels) newest.put(state.before.pixels);
    else state.redraw(held ? state.before.picture : state.picture);
  };
  button.addEventListener('pointerdown', () => show(true));
  for (const end of ['pointerup', 'pointerleave', 'pointercancel']) {
    button.addEventListener(end, () => show(false));
  }
  button.addEventListener('keydown', (event) => {
    if (event.key !== ' ' && event.key !== 'Enter') return;
    event.preventDefault();
    show(!held);
  });
  state.listeners.push(() => {
    button.disabled = !state.before;
    held = false;
    button.setAttribute('aria-pressed', false);
    const { tuned } = state.picture;
    byId('save-tuned').hidden = !tuned;
  });
  return { compare: () => show(!held) };
}
