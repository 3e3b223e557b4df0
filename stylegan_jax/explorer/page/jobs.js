// Long tasks of the server: a stream of their reports, and a button that stops them.

import { byId } from './controls.js';
import { send } from './drawing.js';

export class Jobs {
  constructor(report, onError) {
    Object.assign(this, { report, onError });
    this.buttons = []; // buttons that start a task
    this.listeners = []; // called when a task starts or ends
    this.controller = null; // of the running task
    byId('stop').addEventListener('click', () => this.controller?.abort());
  }

  starter(id, name, action) {
    // Make a button start a task, `action(signal)`; no other starts until it has ended.
    const button = byId(id);
    this.buttons.push(button);
    button.addEventListener('click', () => this.start(name, action));
  }

  show(running) {
    byId('stop').hidden = !running;
    for (const button of this.buttons) button.disabled = running;
    document.body.dataset.job = running ? 'running' : 'idle';
    for (const listener of this.listeners) listener();
  }

  async start(name, action) {
    if (this.controller) return;
    this.controller = new AbortController();
    this.show(true);
    try {
      await action(this.controller.signal);
    } catch (error) {
      if (error.name === 'AbortError') this.report(`${name}: stopped.`);
      else this.onError(error);
    } finally {
      this.controller = null;
      this.show(false);
    }
  }

  async follow(name, path, request, onLine) {
    // Run the started task on the server. Call onLine with each report; return the last.
    this.report(`${name}: compiling …`);
    const body = JSON.stringify(request);
    const response = await send(path, body, this.controller.signal);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let last = null;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (rest + value).split('\n');
      rest = parts.pop();
      for (const part of parts) {
        last = JSON.parse(part);
        if (last.error) throw new Error(last.error);
        const distance = last.distance ?? Math.max(...(last.distances ?? [NaN]));
        const shown = Number.isFinite(distance) ? `, distance ${distance.toPrecision(3)}` : '';
        this.report(`${name}: step ${last.step} of ${last.steps}${shown}`);
        onLine(last);
      }
    }
    if (!last) throw new Error(`${name}: the program ended before there was a result.`);
    return last;
  }
}
