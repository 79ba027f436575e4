// The faces to choose from: built-in ones, and one's own. Knows no call.

export class Gallery extends EventTarget {
  constructor({ root, input, drop, body, query }) {
    super();
    this.root = root;
    this.query = query;
    this.drop = drop;
    this.images = new Map();
    input.addEventListener('change', () => {
      if (input.files[0]) this.upload(input.files[0]);
      input.value = '';
    });
    this.#dragging(body);
  }

  /** Fetches and shows the built-in portraits; the first (or the remembered one) is chosen. */
  async load(remembered) {
    const response = await fetch(`/portraits${this.query}`);
    const portraits = await response.json();
    if (!response.ok) throw new Error(portraits.error);
    portraits.forEach((portrait) => this.#add(portrait));
    const first = portraits.find(({ id }) => id === remembered) ?? portraits[0];
    if (first) this.choose(first.id);
  }

  get chosen() {
    return this.root.querySelector('input:checked')?.value ?? null;
  }

  get image() {
    return this.images.get(this.chosen) ?? '';
  }

  choose(id) {
    const input = [...this.root.querySelectorAll('input')].find(({ value }) => value === id);
    input.checked = true;
    this.dispatchEvent(new Event('chosen'));
  }

  /** Sends one picture; a `failed` event carries the sentence when the server cannot use it. */
  async upload(file) {
    this.drop.classList.add('busy');
    try {
      const headers = { 'Content-Type': file.type || 'application/octet-stream' };
      const response = await fetch(`/portraits${this.query}`, { method: 'POST', body: file, headers });
      const reply = await response.json();
      if (!response.ok) throw new Error(sentence(reply.error));
      this.root.querySelector('.face.own')?.remove();
      this.#add({ id: reply.id, name: 'Yours', image: reply.preview }, 'own');
      this.choose(reply.id);
    } catch (error) {
      const reason = error instanceof TypeError ? 'The picture could not be sent; is the server still running?' : error.message;
      this.dispatchEvent(new CustomEvent('failed', { detail: reason }));
    } finally {
      this.drop.classList.remove('busy');
    }
  }

  #add({ id, name, image }, extra = '') {
    const label = document.createElement('label');
    label.className = `face ${extra}`;
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: 'portrait', value: id, className: 'unseen' });
    input.addEventListener('change', () => this.dispatchEvent(new Event('chosen')));
    const picture = Object.assign(document.createElement('img'), { src: image, alt: '', width: 72, height: 72, decoding: 'async' });
    const text = document.createElement('span');
    text.textContent = name;
    label.append(input, picture, text);
    this.images.set(id, image);
    this.root.append(label);
  }

  #dragging(body) {
    let depth = 0;
    const files = (event) => event.dataTransfer?.types.includes('Files') && !this.locked;
    body.addEventListener('dragenter', (event) => {
      if (files(event)) body.classList.toggle('dropping', (depth += 1) > 0);
    });
    body.addEventListener('dragleave', (event) => {
      if (files(event)) body.classList.toggle('dropping', (depth -= 1) > 0);
    });
    body.addEventListener('dragover', (event) => event.preventDefault());
    body.addEventListener('drop', (event) => {
      event.preventDefault();
      depth = 0;
      body.classList.remove('dropping');
      if (files(event) && event.dataTransfer.files[0]) this.upload(event.dataTransfer.files[0]);
    });
  }
}

/** A server's sentence as a page shows it: with a capital and a full stop. */
export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
