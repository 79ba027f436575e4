// The microphone's level, 0..1, as a person hears it. Knows no page.

const FLOOR_DB = -58;
const CEILING_DB = -12;
const EVERY_MS = 50; // each look makes the browser draw

export class Meter {
  constructor(stream, show) {
    this.show = show;
    this.level = 0;
    this.context = new AudioContext();
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.context.createMediaStreamSource(stream).connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
    this.timer = setInterval(() => this.#draw(), EVERY_MS);
  }

  #draw() {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / this.samples.length + 1e-9);
    const loud = Math.min(1, Math.max(0, (decibels - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
    this.level = Math.max(loud, this.level * 0.75); // up at once, down slowly
    this.show(this.level);
  }

  close() {
    clearInterval(this.timer);
    this.show(0);
    this.context.close();
  }
}
