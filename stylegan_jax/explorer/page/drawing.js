// Pictures from the server: the newest one in the canvas, and small ones beside it.

const page = Math.random().toString(36).slice(2); // a name for this page's requests

export function get(path, signal) {
  return ask(path, { signal });
}

export function send(path, body, signal) {
  return ask(path, { method: 'POST', body, signal });
}

async function ask(path, options) {
  // Return the response, or throw an Error with the server's message.
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The program does not answer; is it still running?');
  }
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try { message = JSON.parse(text).error; } catch { /* not from our server */ }
  throw new Error(message.slice(0, 1000));
}

async function pixels(client, number, picture) {
  // Return the bytes of a picture, or null if the server knows a newer request.
  const body = JSON.stringify({ client: `${page}-${client}`, number, picture });
  const response = await send('draw', body);
  return response.status === 204 ? null : new Uint8Array(await response.arrayBuffer());
}

export function put(canvas, bytes, facts) {
  const { width, height, channels } = facts;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.classList.toggle('pixelated', Math.max(width, height) <= 256);
  }
  const colored = channels >= 3;
  const image = new ImageData(width, height);
  for (let i = 0, o = 0; i < bytes.length; i += channels, o += 4) {
    image.data[o] = bytes[i];
    image.data[o + 1] = bytes[colored ? i + 1 : i];
    image.data[o + 2] = bytes[colored ? i + 2 : i];
    image.data[o + 3] = channels === 4 ? bytes[i + 3] : 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

export class Newest {
  // A canvas that shows the newest requested picture: responses to requests older than
  // the shown one are dropped.
  constructor(canvas, facts, onShown, onError) {
    Object.assign(this, { canvas, facts, onShown, onError });
    this.asked = 0;
    this.shown = 0;
    this.waiting = false;
    this.milliseconds = 0; // that the last picture took
  }

  get busy() { return this.waiting || this.shown < this.asked; }

  draw(makePicture) {
    // Several changes by one event become one request.
    this.make = makePicture;
    if (this.waiting) return;
    this.waiting = true;
    queueMicrotask(() => {
      this.waiting = false;
      this.request(this.make());
    });
  }

  put(bytes) {
    // Show pixels at once, as the newest picture.
    this.shown = ++this.asked;
    put(this.canvas, bytes, this.facts);
    this.canvas.dataset.shown = this.shown;
  }

  async request(picture) {
    const number = ++this.asked;
    const started = performance.now();
    try {
      const bytes = await pixels('main', number, picture);
      if (bytes === null || number <= this.shown) return;
      put(this.canvas, bytes, this.facts);
      this.shown = number;
      this.canvas.dataset.shown = number;
      this.milliseconds = performance.now() - started;
      this.onShown(picture);
    } catch (error) {
      if (number !== this.asked) return; // a newer request reports its own error
      this.shown = number;
      this.onError(error);
    }
  }
}

export class Thumbnails {
  // Small pictures that follow the controls while the large one rests.
  constructor(newest, facts, onError) {
    Object.assign(this, { newest, facts, onError });
    this.items = [];
    this.number = 0;
    this.running = false;
  }

  add(canvas, makePicture) { this.items.push({ canvas, makePicture, drawn: null }); }

  changed() {
    clearTimeout(this.timer);
    // Longer where a picture takes longer, because the next large one would wait for it.
    const pause = 150 + 2 * this.newest.milliseconds;
    this.timer = setTimeout(() => this.refresh(), pause);
  }

  async refresh() {
    if (this.running || this.newest.busy) return this.changed();
    this.running = true;
    try {
      for (const item of this.items) {
        const picture = item.makePicture();
        const key = JSON.stringify(picture);
        if (key === item.drawn) continue;
        if (this.newest.busy) { this.changed(); break; }
        const bytes = await pixels('small', ++this.number, picture);
        if (bytes === null) continue;
        put(item.canvas, bytes, this.facts);
        item.drawn = key;
      }
    } catch (error) {
      this.onError(error);
    } finally {
      this.running = false;
    }
  }
}
