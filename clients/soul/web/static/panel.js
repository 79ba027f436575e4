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
    this.$('first').hidden = false;
    this.#set('figure-first', `${Math.round(milliseconds)} ms`);
  }

  roundTrip(milliseconds) {
    this.#set('figure-rtt', `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`);
  }

  /** One `stats` message of the session: the fields of `soul.session.stats.SessionStats`. */
  server(stats) {
    this.#set('figure-queue', `${stats.queued_pictures} · ${stats.waiting_chunks}`);
    this.#set('figure-drops', `${stats.frames_repeated} · ${stats.frames_skipped + stats.pictures_dropped}`);
    if (stats.delay_p50_ms === 0) return; // no picture of the model was shown yet
    this.latency = stats.delay_p50_ms;
    this.#set('figure-latency', ms(stats.delay_p50_ms));
    this.#set('figure-p95', ms(stats.delay_p95_ms));
    this.#stages(stages(stats));
    this.#summary();
  }

  #summary() {
    const parts = [];
    if (this.fps !== null) parts.push(`${this.fps.toFixed(0)} frames/s`);
    if (this.latency) parts.push(ms(this.latency));
    if (parts.length) this.#set('measured-line', parts.join(' · '));
  }

  #stages(list) {
    if (this.drawn !== list.length) {
      this.drawn = list.length;
      this.$('way').replaceChildren(...list.map((_, index) => shaded('i', index)));
      this.$('stages').replaceChildren(...list.map(({ name }, index) => row(name, index)));
    }
    list.forEach(({ value, onTheWay }, index) => {
      this.$('way').children[index].style.flexGrow = onTheWay ? value : 0;
      this.$('way').children[index].hidden = !onTheWay;
      this.$('stages').children[index].lastChild.textContent = ms(value);
    });
  }

  #set(id, text) {
    this.$(id).textContent = text;
  }
}

/** The way of one sound, stage by stage. What is not measured itself is the time that the chunk
 *  needs to fill, to be due, and to be coded. `commit` runs after the pictures have left. */
function stages(stats) {
  const measured = stats.ingest_delay_ms + stats.listen_ms + stats.denoise_ms + stats.decode_ms;
  return [
    { name: 'sound in', value: stats.ingest_delay_ms, onTheWay: true },
    { name: 'filling and waiting', value: Math.max(0, stats.delay_p50_ms - measured), onTheWay: true },
    { name: 'listen', value: stats.listen_ms, onTheWay: true },
    { name: 'denoise', value: stats.denoise_ms, onTheWay: true },
    { name: 'decode', value: stats.decode_ms, onTheWay: true },
    { name: 'commit (afterwards)', value: stats.commit_ms, onTheWay: false },
  ];
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
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
