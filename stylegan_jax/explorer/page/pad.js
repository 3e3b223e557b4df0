// The pad: a point between four seeds, by pointer or by arrow keys.

import { byId } from './controls.js';
import { randomSeed } from './state.js';

const STEP = 0.02; // of an arrow key
const ARROWS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

const inside = (value) => Math.min(Math.max(value, 0), 1);

export function padControls(state, thumbnails) {
  const pad = byId('pad');
  const move = (event) => {
    const box = pad.getBoundingClientRect();
    state.usePad({
      x: inside((event.clientX - box.left) / box.width),
      y: inside((event.clientY - box.top) / box.height),
    });
  };
  pad.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    pad.setPointerCapture(event.pointerId);
    move(event);
  });
  pad.addEventListener('pointermove', (event) => {
    if (pad.hasPointerCapture(event.pointerId)) move(event);
  });
  pad.addEventListener('keydown', (event) => {
    const direction = ARROWS[event.key];
    if (!direction || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // elsewhere, arrows change the seed
    const step = event.shiftKey ? 5 * STEP : STEP;
    state.usePad({
      x: inside(state.pad.x + step * direction[0]),
      y: inside(state.pad.y + step * direction[1]),
    });
  });
  byId('pad-random').addEventListener('click', () => {
    state.usePad({ seeds: [0, 1, 2, 3].map(randomSeed) });
  });
  for (let i = 0; i < 4; i++) {
    thumbnails.add(byId(`pad-${i}`), () => state.ofSeed(state.pad.seeds[i]));
  }
  state.listeners.push(() => {
    byId('pad-dot').style.left = `${100 * state.pad.x}%`;
    byId('pad-dot').style.top = `${100 * state.pad.y}%`;
    byId('pad-seeds').textContent = `seeds ${state.pad.seeds.join(', ')}`;
  });
}
