// What reaches the parts of the live page: every event of its sweep, by its type, once the state has it; and `shown`,
// with the name of a part of the page, when somebody looks at it.
const listeners = new Map();

// Call listen(data, at) with every event of these types; *at* is when the engine or the web told it.
export function on(types, listen) {
  for (const type of [types].flat()) listeners.set(type, [...(listeners.get(type) ?? []), listen]);
}

export function tell(type, data, at = null) {
  for (const listen of listeners.get(type) ?? []) {
    try {
      listen(data, at);
    } catch (error) {
      reportError(error); // one part's mistake keeps no other part from its events
    }
  }
}

const WAIT_MS = 200;
const parts = [];
let timer = 0;

// Call draw now, and again, at most five times a second, when events of these types have come: as long as *place* can
// be seen, and else when it is shown.
export function follow(place, types, draw) {
  const part = { place, draw, due: true };
  parts.push(part);
  on(types, () => {
    part.due = true;
    timer ||= setTimeout(flush, WAIT_MS);
  });
  run(part);
}

export function flush() {
  clearTimeout(timer);
  timer = 0;
  parts.forEach(run);
}

function run(part) {
  if (!part.due || part.place.getClientRects().length === 0) return;
  part.due = false;
  try {
    part.draw();
  } catch (error) {
    reportError(error);
  }
}

on("shown", flush);
