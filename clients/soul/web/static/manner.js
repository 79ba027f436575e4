// How the portrait is to speak: a field, and suggestions that fill it with one tap. Knows no call: a
// `wanted` event says that the words in the field are meant, and `told` shows what became of them.

export class Manner extends EventTarget {
  constructor({ field, moods, state }) {
    super();
    this.field = field;
    this.moods = [...moods.querySelectorAll('button')];
    this.state = state;
    field.addEventListener('input', () => this.#press());
    // `change` comes when the field is left, and in most browsers with Enter too: said twice is no harm
    field.addEventListener('change', () => this.#want());
    field.addEventListener('keydown', (event) => event.key === 'Enter' && !event.isComposing && this.#want());
    for (const mood of this.moods) {
      mood.addEventListener('click', () => {
        field.value = mood.value;
        this.#want();
      });
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

  #press() {
    for (const mood of this.moods) mood.setAttribute('aria-pressed', mood.value === this.words);
  }
}
