// What is typed into the form, kept in this browser until the sweep is started: {at, search, aside, entries}.

export class Draft {
  constructor(viewer) {
    this.key = `nhop-draft-${viewer}`;
  }

  read() {
    try {
      const draft = JSON.parse(localStorage.getItem(this.key));
      return Array.isArray(draft?.entries) ? draft : null;
    } catch {
      return null; // there is none, or storage is blocked
    }
  }

  keep(entries) {
    this.#write({ at: Date.now(), search: location.search, aside: false, entries });
  }

  putAside() {
    const draft = this.read();
    if (draft) this.#write({ ...draft, aside: true });
  }

  drop() {
    try { localStorage.removeItem(this.key); } catch { /* storage is blocked: there is none */ }
  }

  #write(draft) {
    try { localStorage.setItem(this.key, JSON.stringify(draft)); } catch { /* blocked or full: then without a draft */ }
  }
}
