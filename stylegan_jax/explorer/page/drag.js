// Points to drag and a mask on the picture; for StyleGAN3, its translation and rotation.

import { byId, element } from './controls.js';

const ARROWS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};
const NEAR = 2; // pixels of the image: a shorter drag is an accidental click
const DEGREES = 3; // rotation for one notch of the wheel

export function dragControls(state, jobs, report) {
  const { width, height } = state.facts;
  const [overlay, mask] = ['overlay', 'mask'].map(byId);
  overlay.setAttribute('viewBox', `-0.5 -0.5 ${width} ${height}`);
  Object.assign(mask, { width, height });
  const paint = mask.getContext('2d', { willReadFrequently: true });
  const cursor = [Math.floor(width / 2), Math.floor(height / 2)];
  let mode = 'none';
  let pairs = []; // [handle, target], each [x, y]
  let masked = false;

  const limit = ([x, y]) => [
    Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
  const at = (event) => {
    const box = overlay.getBoundingClientRect();
    return limit([
      (event.clientX - box.left) / box.width * width - 0.5,
      (event.clientY - box.top) / box.height * height - 0.5,
    ].map(Math.round));
  };

  function show() {
    const shape = (tag, values) => {
      const made = document.createElementNS(overlay.namespaceURI, tag);
      for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
      return made;
    };
    const r = Math.max(width, height) / 60;
    const shapes = pairs.flatMap(([[x, y], [u, v]]) => [
      shape('line', { x1: x, y1: y, x2: u, y2: v }),
      shape('circle', { cx: u, cy: v, r, class: 'goal' }),
      shape('circle', { cx: x, cy: y, r, class: 'handle' }),
    ]);
    if (mode !== 'none' && document.activeElement === overlay) {
      const [cx, cy] = cursor;
      shapes.push(shape('circle', { cx, cy, r: 1.5 * r, class: 'cursor' }));
    }
    overlay.replaceChildren(...shapes);
    overlay.dataset.mode = mode;
    for (const name of ['points', 'mask']) {
      byId(`mode-${name}`).setAttribute('aria-pressed', mode === name);
    }
    byId('drag-count').textContent = `${pairs.length} ` +
      `${pairs.length === 1 ? 'point' : 'points'}${masked ? ', with a mask' : ''}`;
    if (document.body.dataset.job !== 'running') byId('drag').disabled = !pairs.length;
  }

  function brush([x, y]) {
    paint.fillStyle = '#35c46b';
    paint.beginPath();
    paint.arc(x + 0.5, y + 0.5, byId('brush').valueAsNumber / 100 * width, 0, 2 * Math.PI);
    paint.fill();
    masked = true;
  }

  function bits() {
    // The mask as bits in Base64, the highest bit of each byte first; null without one.
    if (!masked) return null;
    const { data } = paint.getImageData(0, 0, width, height);
    const bytes = new Uint8Array(Math.ceil(width * height / 8));
    for (let i = 0; i < width * height; i++) {
      if (data[4 * i + 3] > 127) bytes[i >> 3] |= 128 >> (i & 7);
    }
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  }

  for (const name of ['points', 'mask']) {
    byId(`mode-${name}`).addEventListener('click', () => {
      mode = mode === name ? 'none' : name;
      show();
      if (mode !== 'none') overlay.focus({ preventScroll: true });
    });
  }
  byId('drag-clear').addEventListener('click', () => {
    pairs = [];
    masked = false;
    paint.clearRect(0, 0, width, height);
    show();
  });
  let from = null; // where a translation began
  overlay.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    if (mode === 'none' && !state.facts.moves) return;
    overlay.setPointerCapture(event.pointerId);
    const point = at(event);
    if (mode === 'points') pairs.push([point, point]);
    if (mode === 'mask') brush(point);
    if (mode === 'none') {
      const { translate_x: x, translate_y: y } = state.picture;
      from = { x, y, clientX: event.clientX, clientY: event.clientY };
    }
    show();
  });
  overlay.addEventListener('pointermove', (event) => {
    if (!overlay.hasPointerCapture(event.pointerId)) return;
    if (mode === 'points') pairs[pairs.length - 1][1] = at(event);
    if (mode === 'mask') brush(at(event));
    if (mode === 'none' && from) {
      const box = overlay.getBoundingClientRect();
      state.move({
        translate_x: from.x + (event.clientX - from.clientX) / box.width,
        translate_y: from.y + (event.clientY - from.clientY) / box.height,
      });
    }
    show();
  });
  overlay.addEventListener('pointerup', () => {
    from = null;
    if (mode !== 'points' || !pairs.length) return;
    const [[x, y], [u, v]] = pairs[pairs.length - 1];
    if (Math.hypot(x - u, y - v) < NEAR) {
      pairs.pop();
      report('Press on a point of the picture, and release where it should go.');
    }
    show();
  });
  overlay.addEventListener('wheel', (event) => {
    if (!state.facts.moves || mode !== 'none') return;
    event.preventDefault();
    const rotate = state.picture.rotate - DEGREES * Math.sign(event.deltaY);
    state.move({ rotate });
  }, { passive: false });
  overlay.addEventListener('keydown', (event) => {
    if (mode === 'none') return;
    const arrow = ARROWS[event.key];
    const step = event.shiftKey ? 5 : 1;
    if (arrow) {
      const moved = limit([cursor[0] + step * arrow[0], cursor[1] + step * arrow[1]]);
      cursor.splice(0, 2, ...moved);
      if (mode === 'points' && overlay.dataset.placing) {
        pairs[pairs.length - 1][1] = moved;
      }
    } else if (event.key === 'Enter' && mode === 'points') {
      // The first Enter sets the point, the second its target.
      if (overlay.dataset.placing) delete overlay.dataset.placing;
      else {
        pairs.push([[...cursor], [...cursor]]);
        overlay.dataset.placing = true;
      }
    } else if (event.key === 'Enter') brush(cursor);
    else if (event.key === 'Backspace' || event.key === 'Delete') {
      pairs.pop();
      delete overlay.dataset.placing;
    } else return;
    event.preventDefault();
    event.stopPropagation();
    show();
  });
  for (const name of ['focus', 'blur']) overlay.addEventListener(name, show);

  jobs.starter('drag', 'Drag', async () => {
    const dragged = [...pairs]; // the user may change `pairs` meanwhile
    state.before ??= { picture: structuredClone(state.picture) };
    const request = {
      picture: state.picture, handles: dragged.map(([handle]) => handle),
      targets: dragged.map(([, goal]) => goal), mask: bits(),
      steps: byId('drag-steps').valueAsNumber,
    };
    const found = await jobs.follow('Drag', 'drag', request, (line) => {
      line.points.forEach((point, i) => { dragged[i][0] = point; });
      state.useResult(line.picture, 'dragged picture');
      show();
    });
    report(found.arrived ? `Arrived after ${found.step} steps.`
      : `Not arrived after ${found.step} steps; drag again, or undo.`);
  });
  jobs.listeners.push(show);

  const moves = byId('position');
  moves.hidden = !state.facts.moves;
  const sliders = {
    translate_x: ['x', -1, 1, 0.01], translate_y: ['y', -1, 1, 0.01],
    rotate: ['degrees', -180, 180, 1],
  };
  const inputs = Object.entries(sliders).map(([name, [text, min, max, step]]) => {
    const input = element('input', { type: 'range', id: name, min, max, step });
    const output = element('output', {});
    input.addEventListener('input', () => state.move({ [name]: input.valueAsNumber }));
    const label = element('label', { htmlFor: name, textContent: text });
    byId('position-sliders').append(
      element('div', { className: 'slider' }, label, input, output));
    return () => {
      input.value = state.picture[name];
      output.textContent = state.picture[name].toFixed(name === 'rotate' ? 0 : 2);
    };
  });
  byId('position-reset').addEventListener('click', () => {
    state.move({ translate_x: 0, translate_y: 0, rotate: 0 });
  });
  state.listeners.push(() => { for (const showInput of inputs) showInput(); });
  show();
}
