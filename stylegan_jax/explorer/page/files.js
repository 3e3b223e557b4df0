// Saving of pictures and latents, and loading of latents.

import { byId, element } from './controls.js';
import { send } from './drawing.js';
import { latest } from './latest.js';

function download(blob, name) {
  const link = element('a', { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export function fileControls(state, shown, report, onError) {
  // `shown` returns the picture in the canvas.
  const save = async (path, ending) => {
    const picture = shown();
    if (!picture) return;
    const network = state.facts.network.split(/[\\/]/).filter(Boolean).pop();
    const what = state.describeSource(picture.style.source).replace(/ of .*/, '');
    const name = `${network}-${what}`.replace(/[^\w.-]+/g, '_') + ending;
    try {
      const response = await send(path, JSON.stringify(picture));
      download(await response.blob(), name);
      report(`Saved ${name}.`);
    } catch (error) { onError(error); }
  };
  const actions = {
    saveImage: () => save('image', '.png'),
    saveLatent: () => save('latent', '.npz'),
    saveTuned: () => save('tuned', '.safetensors'),
  };
  byId('save-tuned').addEventListener('click', actions.saveTuned);
  byId('save-image').addEventListener('click', actions.saveImage);
  byId('save-latent').addEventListener('click', actions.saveLatent);

  const file = byId('file');
  byId('load').addEventListener('click', () => file.click());
  const load = latest(async (signal, chosen) => {
    const name = encodeURIComponent(chosen.name.slice(0, 100));
    const found = await (await send(`load?name=${name}`, chosen, signal)).json();
    if (signal.aborted) return;
    state.latents = { name: chosen.name, sources: found.sources, index: 0 };
    if (found.picture) {
      state.usePicture(found.picture);
    } else {
      if (found.truncated) {
        state.picture.truncation_psi = 1;
        state.picture.truncation_cutoff = null;
      }
      state.style.mix = { ...state.style.mix, layers: [] };
      state.useLatent(0);
    }
    const most = found.sources.length;
    report(`Loaded ${chosen.name}` + (found.picture ? ' with its settings.'
      : found.total > most ? `: the first ${most} of ${found.total} latents.`
        : `: ${most} ${most === 1 ? 'latent' : 'latents'}.`));
  }, onError);
  file.addEventListener('change', () => {
    const [chosen] = file.files;
    file.value = ''; // so that the same file can be chosen again
    if (chosen) load(chosen);
  });
  const index = byId('latent-index');
  index.addEventListener('input', () => {
    const chosen = index.valueAsNumber;
    if (Number.isInteger(chosen) && state.latents.sources[chosen]) state.useLatent(chosen);
  });
  state.listeners.push(() => {
    const { sources, name } = state.latents;
    byId('latent-row').hidden = sources.length === 0;
    index.max = Math.max(sources.length - 1, 0);
    if (document.activeElement !== index) index.value = state.latents.index;
    byId('latent-name').textContent = `of ${name}`;
  });
  return actions;
}
