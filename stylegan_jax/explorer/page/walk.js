// Play: a walk through several pictures. Each frame is requested when the previous one is
// shown, so a slow network draws fewer frames at the same speed.

import { byId } from './controls.js';
import { MAX_SEED, randomSeed } from './state.js';

const SEEDS = 8; // keyframes of a walk through seeds

export class Player {
  constructor(state, liked, onError) {
    Object.assign(this, { state, liked, onError });
    this.playing = false;
    this.through = byId('walk-through');
    this.seconds = byId('walk-seconds');
    byId('play').addEventListener('click', () => this.toggle());
    this.through.addEventListener('change', () => {
      this.walk = null;
      if (this.playing) this.start();
    });
    this.seconds.addEventListener('input', () => {
      byId('walk-seconds-shown').textContent = this.seconds.value;
    });
  }

  toggle() { if (this.playing) this.pause(); else this.start(); }

  pause() {
    this.playing = false;
    this.show();
  }

  show() {
    byId('play').textContent = this.playing ? 'Pause' : 'Play';
    byId('play').setAttribute('aria-pressed', this.playing);
  }

  keyframes() {
    // Return the fixed keyframes, or the seeds of a walk with the page's label.
    if (this.through.value === 'liked') {
      const styles = this.liked.items.map((item) => item.picture.style);
      if (styles.length < 2) throw new Error('Like at least two pictures, then play.');
      return { styles: styles.slice(0, this.state.facts.max_keyframes) };
    }
    const { seed } = this.state;
    const others = [...Array(SEEDS).keys()].slice(1);
    const next = (i) => (seed + i) % (MAX_SEED + 1);
    const make = this.through.value === 'next' ? next : randomSeed;
    return { seeds: [seed, ...others.map(make)] };
  }

  start() {
    try {
      // After a pause the walk continues, unless something else was drawn.
      if (!this.walk || this.state.source.kind !== 'walk') {
        this.walk = { ...this.keyframes(), position: 0 };
      }
    } catch (error) {
      this.onError(error);
      return;
    }
    this.playing = true;
    this.time = null;
    this.show();
    this.step();
  }

  step() {
    // Move by the time since the last frame, and draw.
    const now = performance.now();
    const elapsed = this.time === null ? 0 : now - this.time;
    this.time = now;
    const { seeds, styles } = this.walk;
    const { label } = this.state.style;
    const keyframes = styles ?? seeds.map(
      (seed) => ({ source: { kind: 'seed', seed }, label, mix: null }));
    this.walk.position += elapsed / 1000 / Number(this.seconds.value);
    this.walk.position %= keyframes.length;
    this.drawn = { kind: 'walk', keyframes, position: this.walk.position };
    this.state.style.source = this.drawn;
    this.state.changed();
  }

  shown() {
    // Called when a picture is shown.
    if (this.playing) requestAnimationFrame(() => this.next());
  }

  next() {
    if (!this.playing) return;
    if (this.state.source === this.drawn) this.step();
    else this.pause(); // another control took over
  }
}
