// The panel of measured figures: what the server says about its stages, and what this browser
// counts itself. Knows no call; it is given messages and a peer connection.

const EVERY_MS = 1000;

export class Panel {
  constructor($) {
    this.$ = $;
    this.fps = null;
    this.latency = null;
  }

  /** Counts the pictures that this browser decoded. */
  follow(pc) {
    this.unfollow();
    let last = null;
    this.timer = setInterval(async () => {
      for (const report of (await pc.getStats()).values()) {
        if (report.type !== 'inbound-rtp' || report.kind !== 'video') continue;
        if (last && report.timestamp > last.timestamp) {
          const seconds = (report.timestamp - last.timestamp) / 1000;
          this.fps = (report.framesDecoded - last.framesDecoded) / seconds;
          this.#set('figure-fps', this.fps.toFixed(1));
          this.#summary();
        }
        last = report;
      }
    }, EVERY_MS);
  }

  unfollow() {
    clearInterval(this.timer);
    this.fps = this.latency = null;
    this.#set('measured-line', 'starts with the call');
  }

  firstPicture(milliseconds) {
    this.#set('figure-first', `${Math.round(milliseconds)} ms`);
  }

  roundTrip(milliseconds) {
    this.#set('figure-rtt', `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`);
  }

  /** One `stats` message of the session. */
  server(stats) {
    this.latency = stats.latency_ms;
    this.#set('figure-latency', ms(stats.latency_ms));
    this.#set('figure-queue', `${stats.queue}`);
    this.#set('figure-drops', `${stats.repeated} · ${stats.dropped}`);
    this.#stages(stats.stages_ms);
    this.#summary();
  }

  #summary() {
    const parts = [];
    if (this.fps !== null) parts.push(`${this.fps.toFixed(0)} frames/s`);
    if (this.latency !== null) parts.push(ms(this.latency));
    if (parts.length) this.#set('measured-line', parts.join(' · '));
  }

  #stages(stages) {
    const entries = Object.entries(stages);
    if (this.drawn !== entries.length) {
      this.drawn = entries.length;
      this.$('way').replaceChildren(...entries.map((_, index) => shaded('i', index)));
      this.$('stages').replaceChildren(...entries.map(([name], index) => row(name, index)));
    }
    entries.forEach(([, value], index) => {
      this.$('way').children[index].style.flexGrow = value;
      this.$('stages').children[index].lastChild.textContent = ms(value);
    });
  }

  #set(id, text) {
    this.$(id).textContent = text;
  }
}

function shaded(tag, index) {
  return Object.assign(document.createElement(tag), { className: `shade-${index % 6}` });
}

function row(name, index) {
  const item = document.createElement('li');
  const text = document.createElement('span');
  text.textContent = name;
  item.append(shaded('i', index), text, document.createElement('b'));
  return item;
}

function ms(value) {
  return value === null ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
