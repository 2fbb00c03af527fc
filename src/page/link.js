// A connection to the broker: a WebSocket that speaks the JSON dialect. Requests
// have one reply each, in order; everything else that comes is a frame.
import { parse } from "./words.js";

/** How long to wait before the first try to come back, in milliseconds; each try doubles it. */
const RETRY_MS = 500;
const RETRY_MS_MAX = 8_000;
/** A reply that takes longer than this is one that will not come. */
const SILENCE_MS_MAX = 15_000;

/** A request that failed: `code` is the protocol's. */
export class Fault extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export class Link {
  #socket = null;
  #waiting = []; // requests whose replies are due, in order
  #retryMs = RETRY_MS;
  #timer = 0;
  #ended = false;
  byeReason = ""; // why the broker ended the last connection, until there is another

  /**
   * @param {object} on
   *   `open()` is called for each new connection and may ask; what it throws ends the link.
   *   `frame(frame)` takes what nobody asked for; `wants(text)` says whether it is worth reading.
   *   `status(status, reason)` is told `connecting`, `open`, `lost` or `ended`.
   */
  constructor(on) {
    this.on = { wants: () => true, ...on };
    this.retryNow = () => this.#timer && !document.hidden && this.#connect();
    addEventListener("online", this.retryNow);
    document.addEventListener("visibilitychange", this.retryNow);
    this.watchdog = setInterval(() => this.#watch(), SILENCE_MS_MAX / 3);
    this.#connect();
  }

  /** Sends a request; its reply, or the fault by which it failed. */
  ask(request) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Fault("lost", "there is no connection to the broker"));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject, at: performance.now() });
      this.#socket.send(JSON.stringify(request));
    });
  }

  /** Closes it for good. */
  end(reason = "quit") {
    this.#ended = true;
    clearTimeout(this.#timer);
    clearInterval(this.watchdog);
    removeEventListener("online", this.retryNow);
    document.removeEventListener("visibilitychange", this.retryNow);
    this.#letGo();
    this.on.status("ended", reason);
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.on.status("connecting", this.byeReason);
    const at = new URL("/v1/ws", location.href);
    at.protocol = at.protocol.replace("http", "ws");
    const socket = new WebSocket(at);
    this.#socket = socket;
    socket.onopen = () => this.#opened(socket);
    socket.onclose = () => socket === this.#socket && this.#lost();
    socket.onmessage = ({ data }) => socket === this.#socket && this.on.wants(data) && this.#take(data);
  }

  async #opened(socket) {
    try {
      await this.on.open();
    } catch (fault) {
      if (socket === this.#socket && fault.code !== "lost") this.end(fault.message);
      return;
    }
    if (socket !== this.#socket) return;
    [this.#retryMs, this.byeReason] = [RETRY_MS, ""];
    this.on.status("open", "");
  }

  #take(text) {
    const said = parse(text);
    if (said.reply === undefined) {
      if (said.frame === "bye") this.byeReason = said.reason;
      this.on.frame(said);
      return;
    }
    const { resolve, reject } = this.#waiting.shift();
    if (said.ok) resolve(said);
    else reject(new Fault(said.error.code, said.error.message));
  }

  #watch() {
    const oldest = this.#waiting[0];
    if (oldest && performance.now() - oldest.at > SILENCE_MS_MAX) this.#lost();
  }

  #lost() {
    this.#letGo();
    if (this.#ended) return;
    // Its session goes on elsewhere: to come back would be to take it away again.
    if (this.byeReason === "taken-over") return this.end("taken-over");
    this.on.status("lost", this.byeReason);
    this.#timer = setTimeout(() => this.#connect(), this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
  }

  #letGo() {
    const socket = this.#socket;
    this.#socket = null;
    if (socket) socket.onopen = socket.onclose = socket.onmessage = null;
    socket?.close();
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new Fault("lost", "the connection was lost before the reply came"));
    }
  }
}
