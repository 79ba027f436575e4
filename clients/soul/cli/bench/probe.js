// Looks at the page as a viewer does: when each picture of <video id="avatar"> is shown and how
// light it is, and when tones begin and end in the sound that is played and in the microphone.
// Runs before the page's own scripts; changes nothing that the page does, but that `raw` turns the
// microphone's processing off, which would take test tones for noise.
//
// All times are milliseconds of performance.now(). A picture's time is when the browser expects it
// on the screen. A sound's time is when its first sample reaches the loudspeaker, by the audio
// context's own map of its time; sound is looked at in blocks of 128 samples (2.7 ms).

(() => {
  const BLOCK = `
    class Tones extends AudioWorkletProcessor {
      constructor() { super(); this.on = false; this.level = 0; this.quiet = 0; }
      process([input]) {
        const samples = input[0];
        if (!samples) return true;
        let peak = 0;
        for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
        if (!this.on && peak > 0.1) {
          this.on = true;
          this.port.postMessage({ on: true, at: currentTime });
        } else if (this.on && peak < 0.05) {
          this.quiet += 1;
          if (this.quiet === 4) {  // four blocks of quiet end it, at the first of them
            this.on = false;
            this.port.postMessage({ on: false, at: currentTime - 3 * 128 / sampleRate });
          }
        } else this.quiet = 0;
        if (!this.on) this.quiet = 0;
        return true;
      }
    }
    registerProcessor('tones', Tones);`;

  const state = { pictures: [], heard: [], said: [], raw: false, microphone: null, map: null };

  const open = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
  if (open) {
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      if (state.raw && wanted.audio) {
        wanted = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } };
      }
      state.microphone = await open(wanted);
      return state.microphone;
    };
  }

  const canvas = new OffscreenCanvas(16, 16);
  const pen = canvas.getContext('2d', { willReadFrequently: true });

  function light(video) {
    pen.drawImage(video, 0, 0, 16, 16);
    const { data } = pen.getImageData(0, 0, 16, 16);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
    return sum / (data.length * 0.75);
  }

  /** Notes every picture from now on: how light it is (0..255), and with a `box` (shares of its
   *  sides: x0, y0, x1, y1) by how much the box changed since the last one and how loud it is. */
  function watch(box) {
    const video = document.getElementById('avatar');
    const loudness = box ? meter(video.srcObject) : () => 0;
    let before = null;
    const look = (now, seen) => {
      const part = box && grab(box, 32);
      const change = part && before ? distance(part, before) : 0;
      before = part;
      state.pictures.push([seen.expectedDisplayTime, seen.presentedFrames, light(video), change, loudness()]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  }

  /** Mean absolute difference of two grabs, 0..255. */
  function distance(one, other) {
    return one.reduce((sum, value, i) => sum + Math.abs(value - other[i]), 0) / (one.length * 0.75);
  }

  /** A function that gives the root mean square of the last 43 ms of `stream`. */
  function meter(stream) {
    const context = new AudioContext({ sampleRate: 48000 });
    const analyser = new AnalyserNode(context, { fftSize: 2048 });
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(2048);
    return () => {
      analyser.getFloatTimeDomainData(samples);
      return Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
    };
  }

  async function tones(context, stream, into) {
    const node = new AudioWorkletNode(context, 'tones');
    node.port.onmessage = ({ data }) => into.push([data.on, data.at * 1000 + offset(context)]);
    context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  }

  /** Notes when tones begin and end, in what is played and in the microphone. */
  async function listen() {
    const context = new AudioContext({ latencyHint: 'interactive', sampleRate: 48000 });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([BLOCK], { type: 'text/javascript' })));
    await context.resume();
    await tones(context, document.getElementById('avatar').srcObject, state.heard);
    await tones(context, state.microphone, state.said);
  }

  /** Milliseconds from the context's time to performance.now() at the loudspeaker. */
  function offset(context) {
    const { contextTime, performanceTime } = context.getOutputTimestamp();
    return performanceTime - contextTime * 1000;
  }

  /** [time, pictures shown until then, light, change, loudness] of each picture. */
  function pictures() {
    return state.pictures;
  }

  /** {heard, said}: [begins, time] of each tone's begin and end. */
  function sounds() {
    return { heard: state.heard, said: state.said };
  }

  /** What the browser counts itself about the pictures it received. */
  async function received() {
    for (const report of (await __soul.pc.getStats()).values()) {
      if (report.type === 'inbound-rtp' && report.kind === 'video') return report;
    }
    return null;
  }

  /** Samples of the picture, part by part: [x0, y0, x1, y1] in shares of its sides → RGB bytes. */
  function grab([x0, y0, x1, y1], size) {
    const video = document.getElementById('avatar');
    const cut = new OffscreenCanvas(size, size);
    const pen = cut.getContext('2d', { willReadFrequently: true });
    const [w, h] = [video.videoWidth, video.videoHeight];
    pen.drawImage(video, x0 * w, y0 * h, (x1 - x0) * w, (y1 - y0) * h, 0, 0, size, size);
    return [...pen.getImageData(0, 0, size, size).data];
  }

  const raw = () => (state.raw = true);
  window.__probe = { watch, listen, pictures, sounds, received, grab, raw };
})();
