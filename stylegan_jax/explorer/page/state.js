// The state of the page: the picture in its JSON form, and what controls remember.

export const MAX_SEED = 4294967295;

const MOST_UNDONE = 100;
const PAUSE = 600; // milliseconds after which a change becomes a separate undo step
const RANDOM_SEEDS = 1e6; // few enough for seeds that are easy to read and type

export function randomSeed() { return Math.floor(Math.random() * RANDOM_SEEDS); }

export function clampSeed(text) {
  // Parse a seed that was typed; return null if it is not a number.
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) return null;
  return Math.min(Math.max(Math.round(value), 0), MAX_SEED);
}

export class State {
  constructor(facts) {
    this.facts = facts;
    const label = facts.classes.map((_, i) => (i === 0 ? 1 : 0));
    this.seed = 0; // value of the seed control, also while something else is drawn
    this.pad = { seeds: [1, 2, 3, 4], x: 0.5, y: 0.5 };
    this.latents = { name: '', sources: [], index: 0 };
    this.picture = {
      style: { source: { kind: 'seed', seed: 0 }, label, mix: { seed: 1, layers: [] } },
      truncation_psi: 0.7,
      truncation_cutoff: null,
      noise: 'const',
      noise_seed: 0,
      directions: {},
      tuned: '',
      translate_x: 0,
      translate_y: 0,
      rotate: 0,
    };
    this.before = null; // { pixels } of a photo, or { picture }, to compare with
    this.result = ''; // description of a latent that does not come from a file
    this.past = []; // pictures to return to
    this.changedAt = 0;
    this.listeners = [];
  }

  get style() { return this.picture.style; }
  get source() { return this.picture.style.source; }

  changed() {
    this.remember();
    for (const listener of this.listeners) listener();
  }

  remember() {
    // Keep the picture before this change, unless the last change is still going on.
    const now = performance.now();
    const going = now - this.changedAt < PAUSE || this.source.kind === 'walk';
    if (this.last && !going) this.past = [...this.past, this.last].slice(-MOST_UNDONE);
    this.changedAt = now;
    this.last = {
      picture: structuredClone(this.picture), before: this.before, result: this.result,
    };
  }

  undo() {
    const last = this.past.pop();
    if (!last) return;
    this.before = last.before;
    this.result = last.result;
    this.last = null;
    this.usePicture(last.picture);
  }

  useResult(picture, result) {
    // Show the latest result of a task of the server.
    this.result = result;
    this.usePicture(picture);
  }

  move(changes) {
    Object.assign(this.picture, changes);
    this.picture.rotate = (this.picture.rotate + 540) % 360 - 180;
    this.changed();
  }

  useSeed(seed) {
    this.seed = seed;
    this.style.source = { kind: 'seed', seed };
    this.before = null;
    this.changed();
  }

  usePad(pad) {
    this.pad = { ...this.pad, ...pad };
    this.style.source = { kind: 'pad', ...this.pad };
    this.changed();
  }

  useLatent(index) {
    this.latents.index = index;
    this.result = '';
    this.before = null;
    this.style.source = this.latents.sources[index];
    this.changed();
  }

  usePicture(picture) {
    // Show a liked or loaded picture; the controls take over its values.
    this.picture = structuredClone(picture);
    this.style.mix ??= { seed: 1, layers: [] };
    const added = { directions: {}, tuned: '', translate_x: 0, translate_y: 0, rotate: 0 };
    this.picture = { ...added, ...this.picture };
    const { source } = this;
    if (source.kind === 'seed') this.seed = source.seed;
    if (source.kind === 'pad') {
      this.pad = { seeds: source.seeds, x: source.x, y: source.y };
    }
    this.changed();
  }

  ofSeed(seed) {
    // Return the plain picture of a seed, with the truncation and label of the shown one.
    const { label } = this.style;
    const style = { source: { kind: 'seed', seed }, label, mix: null };
    return {
      ...this.picture, style, noise: 'const', noise_seed: 0, directions: {}, tuned: '',
      translate_x: 0, translate_y: 0, rotate: 0,
    };
  }

  describeSource(source = this.source) {
    switch (source.kind) {
      case 'seed': return `seed ${source.seed}`;
      case 'pad': return `pad at ${source.x.toFixed(2)}, ${source.y.toFixed(2)}`;
      case 'walk': return `interpolation at ${source.position.toFixed(2)} of ` +
        `${source.keyframes.length}`;
      default: {
        const written = JSON.stringify(source);
        const index = this.latents.sources.findIndex((one) => JSON.stringify(one) === written);
        if (index < 0) return this.result || 'latent';
        return `latent ${index} of ${this.latents.name || 'a file'}`;
      }
    }
  }

  describe() {
    const { mix, label } = this.style;
    const parts = [this.describeSource()];
    if (mix.layers.length) parts.push(`layers ${mix.layers.join(', ')} of seed ${mix.seed}`);
    parts.push(`psi ${this.picture.truncation_psi}`);
    if (this.facts.classes.length) {
      const one = label.indexOf(1);
      const pure = label.every((v, i) => v === (i === one ? 1 : 0));
      parts.push(pure ? this.facts.classes[one] : 'mixed label');
    }
    for (const [name, strength] of Object.entries(this.picture.directions)) {
      if (strength) parts.push(`${name} ${strength}`);
    }
    const { translate_x: x, translate_y: y, rotate, tuned } = this.picture;
    if (x || y) parts.push(`moved ${x.toFixed(2)}, ${y.toFixed(2)}`);
    if (rotate) parts.push(`rotated ${rotate.toFixed(0)}°`);
    if (tuned) parts.push(tuned);
    if (this.picture.noise === 'none') parts.push('no noise');
    if (this.picture.noise === 'random') parts.push(`noise ${this.picture.noise_seed}`);
    return parts.join(' · ');
  }
}
