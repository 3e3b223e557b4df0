// The controls of seed, truncation, label, mixing, directions and noise.

import { clampSeed, randomSeed, MAX_SEED } from './state.js';

const MAX_SLIDERS = 64; // for the components of a label vector
const MAX_STRENGTH = 1000; // of a direction, in absolute value

export const byId = (id) => document.getElementById(id);

export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function seedInput(input, use) {
  input.addEventListener('input', () => {
    const seed = clampSeed(input.value);
    if (seed !== null) use(seed);
  });
}

function show(input, value) {
  // A field that is being edited keeps the typed text, unless its value differs.
  if (document.activeElement !== input || Number(input.value) !== value) {
    input.value = value;
  }
}

export function seedControls(state) {
  const step = (by) => state.useSeed(Math.min(Math.max(state.seed + by, 0), MAX_SEED));
  const actions = {
    previous: () => step(-1),
    next: () => step(1),
    random: () => state.useSeed(randomSeed()),
  };
  for (const [id, action] of Object.entries(actions)) {
    byId(id).addEventListener('click', action);
  }
  seedInput(byId('seed'), (seed) => state.useSeed(seed));
  state.listeners.push(() => {
    show(byId('seed'), state.seed);
    const drawn = state.source.kind === 'seed';
    byId('source').textContent = drawn ? '' : `not drawn: ${state.describeSource()}`;
  });
  return actions;
}

export function truncationControls(state) {
  const [psi, number, cutoff] = ['psi', 'psi-number', 'cutoff'].map(byId);
  const all = state.facts.layers.length;
  cutoff.max = all;
  for (const input of [psi, number]) {
    input.addEventListener('input', () => {
      if (input.value === '' || !Number.isFinite(input.valueAsNumber)) return;
      state.picture.truncation_psi = Math.min(Math.max(input.valueAsNumber, -10), 10);
      state.changed();
    });
  }
  cutoff.addEventListener('input', () => {
    const layers = cutoff.valueAsNumber;
    state.picture.truncation_cutoff = layers < all ? layers : null;
    state.changed();
  });
  state.listeners.push(() => {
    const { truncation_psi: value, truncation_cutoff: layers } = state.picture;
    psi.value = value;
    show(number, value);
    cutoff.value = layers ?? all;
    byId('cutoff-shown').textContent = layers === null ? 'all' : `first ${layers}`;
  });
}

function slider(place, id, name, [min, max], most, use) {
  // Add a slider and a field, which takes numbers up to `most`; return a function that
  // shows a value in both.
  const range = element('input', { type: 'range', id, min, max, step: 0.01 });
  const number = element('input', { type: 'number', min: -most, max: most, step: 0.01 });
  number.setAttribute('aria-label', `${name} as a number`);
  for (const input of [range, number]) {
    input.addEventListener('input', () => {
      if (input.value === '' || !Number.isFinite(input.valueAsNumber)) return;
      use(Math.min(Math.max(input.valueAsNumber, -most), most));
    });
  }
  const label = element('label', { htmlFor: id, textContent: name, title: name });
  place.append(element('div', { className: 'slider' }, label, range, number));
  return (value) => {
    range.value = value;
    show(number, value);
  };
}

export function directionControls(state) {
  const { directions } = state.facts;
  byId('directions').hidden = !directions.length;
  const use = (strengths) => {
    state.picture.directions = strengths;
    state.changed();
  };
  const sliders = directions.map(({ name, strengths }, i) => slider(
    byId('direction-sliders'), `direction-${i}`, name, strengths, MAX_STRENGTH,
    (value) => use({ ...state.picture.directions, [name]: value })));
  byId('direction-reset').addEventListener('click', () => use({}));
  state.listeners.push(() => {
    sliders.forEach((showValue, i) => {
      showValue(state.picture.directions[directions[i].name] ?? 0);
    });
  });
}

export function labelControls(state) {
  const { classes } = state.facts;
  if (!classes.length) return;
  byId('labels').hidden = false;
  const select = byId('class');
  const mixed = element('option', { value: '', textContent: '(label vector)' });
  select.append(mixed, ...classes.map(
    (name, i) => element('option', { value: i, textContent: name })));
  select.addEventListener('change', () => {
    if (select.value === '') return;
    state.style.label = classes.map((_, i) => (i === Number(select.value) ? 1 : 0));
    state.changed();
  });
  const sliders = classes.slice(0, MAX_SLIDERS).map((name, i) => slider(
    byId('label-sliders'), `label-${i}`, name, [0, 1], 100, (value) => {
      state.style.label = state.style.label.map((v, k) => (k === i ? value : v));
      state.changed();
    }));
  if (classes.length > MAX_SLIDERS) {
    const text = `The first ${MAX_SLIDERS} of ${classes.length} components.`;
    byId('label-sliders').append(element('p', { className: 'hint', textContent: text }));
  }
  state.listeners.push(() => {
    const { label } = state.style;
    const one = label.indexOf(1);
    const pure = one >= 0 && label.every((v, i) => v === (i === one ? 1 : 0));
    select.value = pure ? one : '';
    sliders.forEach((showValue, i) => showValue(label[i]));
  });
}

export function mixControls(state) {
  const { layers, groups } = state.facts;
  const boxes = new Map();
  const use = (mix) => {
    state.style.mix = { ...state.style.mix, ...mix };
    state.changed();
  };
  for (const { layer, resolution } of layers) {
    const box = element('input', { type: 'checkbox', id: `layer-${layer}` });
    box.addEventListener('change', () => {
      use({ layers: [...boxes].filter(([, b]) => b.checked).map(([l]) => l) });
    });
    boxes.set(layer, box);
    const size = element('small', { textContent: `${resolution}×${resolution}` });
    byId('layers').append(element('label', {}, box, `${layer}`, size));
  }
  const choices = { ...groups, all: layers.map((l) => l.layer), none: [] };
  for (const [name, chosen] of Object.entries(choices)) {
    const button = element('button', { id: `group-${name}`, textContent: name });
    button.addEventListener('click', () => use({ layers: chosen }));
    byId('groups').append(button);
  }
  seedInput(byId('mix-seed'), (seed) => use({ seed }));
  byId('mix-random').addEventListener('click', () => use({ seed: randomSeed() }));
  state.listeners.push(() => {
    const { mix } = state.style;
    show(byId('mix-seed'), mix.seed);
    for (const [layer, box] of boxes) box.checked = mix.layers.includes(layer);
  });
}

export function noiseControls(state) {
  const use = (noise) => {
    if (state.facts.noise_modes.length < 2) return;
    state.picture.noise = noise;
    if (noise === 'random') state.picture.noise_seed = randomSeed();
    state.changed();
  };
  const buttons = ['const', 'none', 'random'].map((noise) => {
    const button = byId(`noise-${noise}`);
    button.addEventListener('click', () => use(noise));
    button.disabled = state.facts.noise_modes.length < 2;
    return { noise, button };
  });
  const problem = state.facts.no_noise;
  if (problem) {
    byId('noise-hint').textContent = `${problem[0].toUpperCase()}${problem.slice(1)}.`;
  }
  state.listeners.push(() => {
    for (const { noise, button } of buttons) {
      button.setAttribute('aria-pressed', state.picture.noise === noise);
    }
  });
  return { newNoise: () => use('random') };
}
