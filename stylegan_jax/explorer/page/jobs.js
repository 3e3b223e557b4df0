// Long tasks of the server: a stream of their reports, and a button that stops them.

import { byId } from './controls.js';
import { send } from './drawing.js';

export class Jobs {
  constructor(report, onError) {
    Object.assign(this, { report, onError });
    this.buttons = []; // buttons that start a task
    byId('stop').addEventListener('click', () => this.stop());
  }

  starter(id, action) {
    // Make a button start a task; it is disabled while one runs.
    const button = byId(id);
    this.buttons.push(button);
    button.addEventListener('click', action);
  }

  stop() { this.controller?.abort(); }

  show(running) {
    byId('stop').hidden = !running;
    for (const button of this.buttons) button.disabled = running;
    document.body.dataset.job = running ? 'running' : 'idle';
  }

  async run(name, path, request, onLine) {
    // Call onLine with each report; return the last one, or null without a result.
    if (this.controller) return null;
    this.controller = new AbortController();
    this.show(true);
    this.report(`${name}: compiling …`);
    let last = null;
    try {
      const body = JSON.stringify(request);
      const response = await send(path, body, this.controller.signal);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
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
      return last;
    } catch (error) {
      if (error.name === 'AbortError') this.report(`${name}: stopped.`);
      else this.onError(error);
      return null;
    } finally {
      this.controller = null;
      this.show(false);
    }
  }
}
