// One call: the microphone, the WebSocket, the peer connection, the data channel.
// Knows no page: it tells what happens by events, and throws CallError with one sentence.

const HEARTBEAT_MS = 3000; // on the data channel; the server notices a dead viewer by it
const SIGN_OF_LIFE_MS = 20000; // on the WebSocket, well inside the server's idle limit
const GATHERING_MS = 1000; // the first candidate comes within milliseconds; do not wait for ever
// Browsers keep 40 to 80 ms of sound before they play it, and next to nothing of pictures: lips would
// run ahead for the half minute that their own synchronisation takes.
const PICTURE_BUFFER_MS = 60;

export class CallError extends Error {
  constructor(code, sentence) {
    super(sentence);
    this.code = code;
  }
}

/** The microphone, with echo cancellation, or a CallError that says why not. */
export async function openMicrophone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new CallError('microphone', 'The browser gives the microphone only to pages served over https or from this very machine.');
  }
  const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: wanted });
  } catch (error) {
    const sentence = {
      NotAllowedError: 'The microphone was refused; allow it beside the address bar, then start again.',
      NotFoundError: 'No microphone was found on this device; plug one in, then start again.',
      NotReadableError: 'The microphone is in use by another program; close that one, then start again.',
    }[error.name] ?? `The microphone could not be opened (${error.name}).`;
    throw new CallError('microphone', sentence);
  }
}

/** One WebSocket = one conversation. Opened early, so that the click need not wait for it. */
export class Line extends EventTarget {
  constructor(url) {
    super();
    this.socket = new WebSocket(url);
    let silent = 'The server cannot be reached; is it still running?'; // said of a close without a reason
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = () => {
        silent = 'The connection to the server was lost.';
        resolve(this);
      };
      this.socket.onclose = (event) => {
        const reason = event.reason || silent;
        reject(new CallError('server', reason));
        clearInterval(this.beat);
        this.dispatchEvent(new CustomEvent('closed', { detail: { reason } }));
      };
    });
    this.opened.catch(() => {}); // whoever starts a call hears of it
    this.socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
    };
    this.beat = setInterval(() => this.send({ type: 'ping' }), SIGN_OF_LIFE_MS);
  }

  get usable() {
    return this.socket.readyState <= WebSocket.OPEN;
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  close() {
    clearInterval(this.beat);
    this.socket.close(1000);
  }
}

/**
 * A running call. Events: `track` (MediaStream), `stats` (what the server measured), `rtt` (ms),
 * `prompted` (the pictures are about to follow the newest prompt), `unsteady` (boolean), `ended`
 * ({reason, code, lost}): once, and everything is closed by then.
 */
export class Call extends EventTarget {
  constructor(line, microphone) {
    super();
    this.line = line;
    this.microphone = microphone;
    this.over = false;
    this.listening = false;
    this.unanswered = 0; // prompts that the server has not confirmed yet
    this.media = new MediaStream();
    this.pc = new RTCPeerConnection({ iceServers: [], bundlePolicy: 'max-bundle' });
    this.pc.ontrack = (event) => {
      if (event.track.kind === 'video') event.receiver.jitterBufferTarget = PICTURE_BUFFER_MS;
      this.media.addTrack(event.track);
      this.dispatchEvent(new CustomEvent('track', { detail: this.media }));
    };
    this.pc.onconnectionstatechange = () => this.#connection();
    this.pc.ondatachannel = (event) => this.#listen(event.channel);
    this.control = this.pc.createDataChannel('control');
    this.#listen(this.control);
    this.heartbeat = setInterval(() => this.#ping(), HEARTBEAT_MS);
    line.addEventListener('prompted', () => this.#prompted());
    line.addEventListener('ended', (event) => this.#end({ reason: event.detail.reason, code: 'ended', lost: false }));
    line.addEventListener('error', (event) => this.#end({ reason: event.detail.message, code: event.detail.code, lost: false }));
    line.addEventListener('closed', (event) => this.#end({ reason: event.detail.reason, code: 'lost', lost: true }));
  }

  /** Offers, and resolves when the server has answered; the pictures follow by `track`. */
  async start(portrait, prompt) {
    const track = this.microphone?.getAudioTracks()[0];
    this.pc.addTransceiver(track ?? 'audio', { direction: track ? 'sendrecv' : 'recvonly' });
    this.pc.addTransceiver('video', { direction: 'recvonly' });
    await this.pc.setLocalDescription();
    await Promise.all([this.line.opened, this.#gathered()]);
    const answer = this.#answer();
    this.prompt = prompt;
    this.line.send({ type: 'start', portrait, prompt, sdp: this.pc.localDescription.sdp });
    const { sdp, session } = await answer;
    this.session = session;
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
  }

  /** Changes how it is spoken; whether there was something to change, and a server to tell. Before the
   *  answer there is not. */
  setPrompt(prompt) {
    if (!this.session || this.over || prompt === this.prompt) return false;
    this.prompt = prompt;
    this.unanswered += 1;
    this.line.send({ type: 'prompt', prompt });
    return true;
  }

  /** Whether the portrait attends to somebody else while its own voice is silent. */
  setListening(listening) {
    if (!this.session || this.over || listening === this.listening) return;
    this.listening = listening;
    this.line.send({ type: 'listen', listening });
  }

  /** The viewer ends it. */
  stop() {
    this.line.send({ type: 'stop' });
    this.#end({ reason: '', code: 'stopped', lost: false });
  }

  #answer() {
    return new Promise((resolve, reject) => {
      this.line.addEventListener('answer', (event) => resolve(event.detail), { once: true });
      this.addEventListener('ended', (event) => reject(new CallError(event.detail.code, event.detail.reason)), { once: true });
      if (this.over) reject(new CallError('ended', ''));
    });
  }

  /** The first candidate is enough: the server's answer holds all of its own, and whichever of ours
   *  a check comes from, it learns by that check (RFC 8445, 7.3.1.3). */
  #gathered() {
    if (this.pc.iceGatheringState === 'complete') return Promise.resolve();
    return new Promise((resolve) => {
      setTimeout(resolve, GATHERING_MS);
      this.pc.addEventListener('icecandidate', resolve, { once: true });
    });
  }

  #prompted() {
    this.unanswered -= 1;
    if (this.unanswered === 0) this.dispatchEvent(new Event('prompted'));
  }

  #connection() {
    const state = this.pc.connectionState;
    if (state === 'failed') {
      this.#end({ reason: 'The way for sound and pictures was lost.', code: 'lost', lost: true });
    } else {
      this.dispatchEvent(new CustomEvent('unsteady', { detail: state === 'disconnected' }));
    }
  }

  #listen(channel) {
    channel.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === 'stats') this.dispatchEvent(new CustomEvent('stats', { detail: message }));
      if (message.type === 'pong' && this.pinged) {
        this.dispatchEvent(new CustomEvent('rtt', { detail: performance.now() - this.pinged }));
      }
    };
  }

  #ping() {
    if (this.control.readyState !== 'open') return;
    this.pinged = performance.now();
    this.control.send(JSON.stringify({ type: 'ping' }));
  }

  #end(detail) {
    if (this.over) return;
    this.over = true;
    clearInterval(this.heartbeat);
    this.pc.onconnectionstatechange = null;
    this.pc.close();
    this.line.close();
    this.dispatchEvent(new CustomEvent('ended', { detail }));
  }
}
