// Actions of which only the latest call counts.

export function latest(action, onError) {
  // Return a function that calls `action(signal, ...values)`, and aborts the signal when
  // it is called again. The action must not change the page once it is aborted.
  let controller = null;
  return async (...values) => {
    controller?.abort();
    controller = new AbortController();
    const { signal } = controller;
    try {
      await action(signal, ...values);
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  };
}
