// Pictures that the user likes: kept in the browser, for each network.

import { byId, element } from './controls.js';

const MOST = 100;

export class Liked {
  constructor(state, canvas, onError) {
    Object.assign(this, { state, canvas, onError });
    this.key = `stylegan_jax ${state.facts.network} ${state.facts.checkpoint}`;
    this.items = [];
    try {
      const stored = JSON.parse(localStorage.getItem(this.key));
      if (Array.isArray(stored)) this.items = stored.filter((i) => i?.picture && i.image);
    } catch { /* damaged, or storage is disabled: start empty */ }
    byId('like').addEventListener('click', () => this.add());
    this.show();
  }

  add() {
    // Keep the picture that the canvas shows, which may be older than the controls.
    if (!this.shown) return;
    const picture = structuredClone(this.shown);
    const image = this.canvas.toDataURL('image/png');
    this.items = [{ picture, image }, ...this.items].slice(0, MOST);
    this.changed();
  }

  changed() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.items));
    } catch {
      this.onError(new Error('The browser\'s storage is full; this is kept only until ' +
        'the page is closed.'));
    }
    this.show();
  }

  show() {
    byId('liked').replaceChildren(...this.items.map((item, i) => {
      const image = element('img', { src: item.image, alt: `liked picture ${i + 1}` });
      const show = element('button', { className: 'show', title: 'Show it again' }, image);
      show.addEventListener('click', () => this.state.usePicture(item.picture));
      const forget = element('button', { className: 'forget', textContent: '×' });
      forget.setAttribute('aria-label', `Remove liked picture ${i + 1}`);
      forget.addEventListener('click', () => {
        this.items = this.items.filter((other) => other !== item);
        this.changed();
      });
      return element('span', {}, show, forget);
    }));
    byId('liked-hint').hidden = this.items.length > 0;
  }
}
