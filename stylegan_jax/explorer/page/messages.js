// The messages below the picture. An error stays until the user acts again; a message
// that arrives in the meantime is shown below it.

// Events by which the user acts, and their targets; page.js adds the keys.
const ACTIONS = {
  click: 'button',
  input: '*',
  pointerdown: '[role="application"]',
  keydown: '[role="application"]',
  wheel: '[role="application"]',
};

export class Messages {
  constructor(line) {
    this.line = line;
    this.errors = [];
    this.text = '';
    for (const [type, targets] of Object.entries(ACTIONS)) {
      // Before the handlers of the target, which may show an error of this action.
      document.addEventListener(type, (event) => {
        if (event.target.closest?.(targets)) this.acted();
      }, { capture: true, passive: true });
    }
  }

  acted() {
    if (!this.errors.length) return;
    this.errors = [];
    this.show();
  }

  report(text) {
    this.text = text;
    this.show();
  }

  error({ message }) {
    if (!this.errors.includes(message)) this.errors.push(message);
    this.text = '';
    this.show();
  }

  show() {
    const shown = this.text ? [...this.errors, this.text] : this.errors;
    this.line.textContent = shown.join('\n');
    this.line.className = this.errors.length ? 'error' : '';
  }
}
