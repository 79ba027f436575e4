// How the portrait is to speak: a field, and suggestions that fill it with one tap, one of each group at
// a time. Knows no call: a `wanted` event says that the words in the field are meant, and `told` shows
// what became of them.

export class Manner extends EventTarget {
  constructor({ field, moods, state }) {
    super();
    this.field = field;
    this.groups = [...moods.querySelectorAll('[role="group"]')].map((group) => [...group.querySelectorAll('button')]);
    this.state = state;
    field.addEventListener('input', () => this.#press());
    // `change` comes when the field is left, and in most browsers with Enter too: said twice is no harm
    field.addEventListener('change', () => this.#want());
    field.addEventListener('keydown', (event) => event.key === 'Enter' && !event.isComposing && this.#want());
    for (const group of this.groups) {
      for (const button of group) button.addEventListener('click', () => this.#tap(button, group));
    }
    this.#press();
  }

  get words() {
    return this.field.value.trim();
  }

  /** What is shown beside the field. */
  told(text) {
    this.state.textContent = text;
  }

  #want() {
    this.#press();
    this.dispatchEvent(new Event('wanted'));
  }

  /** In goes the suggestion, in the place of another of its group; tapped again, it goes out. */
  #tap(button, group) {
    const others = new Set(group.map(({ value }) => value));
    const parts = this.#parts();
    const kept = parts.filter((part) => !others.has(part));
    const pressed = parts.includes(button.value);
    this.field.value = (pressed ? kept : [...kept, button.value]).join(', ');
    this.#want();
  }

  #parts() {
    return this.words.split(/\s*,\s*/).filter(Boolean);
  }

  #press() {
    const parts = this.#parts();
    for (const button of this.groups.flat()) button.setAttribute('aria-pressed', parts.includes(button.value));
  }
}
