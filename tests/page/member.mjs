// A client of the text dialect: it sends lines and waits for lines.
import { connect, createServer } from "node:net";

const DEADLINE_MS = 20_000;

export class Member {
  #socket;
  #rest = "";
  #lines = [];
  #waiting = null;
  #answers = null;

  /** A client of this name. */
  static async enter(address, name) {
    const member = new Member(address);
    await member.ask(`hello --name ${name}`, /^ok hello /);
    return member;
  }

  /** The same, that has joined this channel, which is made if it is missing. */
  static async join(address, name, channel) {
    const member = await Member.enter(address, name);
    await member.ask(`sub ${channel} --create`, /^ok sub /);
    return member;
  }

  constructor(address) {
    const [host, port] = address.split(":");
    this.#socket = connect(Number(port), host);
    this.#socket.setEncoding("utf8");
    this.#socket.on("error", () => {});
    this.#socket.on("data", (data) => this.#take(data));
  }

  /** Executes every command that it gets: what `answer` gives stands behind `ack CH SEQ`. */
  obey(answer) {
    this.#answers = answer;
  }

  send(line) {
    this.#socket.write(`${line}\n`);
  }

  /** Sends a line and waits for another. */
  ask(line, pattern) {
    this.send(line);
    return this.expect(pattern);
  }

  /** Waits for a line like this; those before it are of no interest. */
  async expect(pattern) {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      while (this.#lines.length) {
        const line = this.#lines.shift();
        if (pattern.test(line)) return line;
        if (line.startsWith("err ")) throw new Error(`${line}, and not ${pattern}`);
      }
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${pattern} never came`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Goes without a word. */
  kill() {
    this.#socket.resetAndDestroy();
  }

  #take(data) {
    const lines = (this.#rest + data).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) {
      const [frame, channel, seq] = line.split(" ");
      if (frame === "cmd" && this.#answers) {
        const answer = this.#answers(line);
        if (answer !== null) this.send(`ack ${channel} ${seq} ${answer}`);
      }
    }
    this.#lines.push(...lines);
    this.#waiting?.();
  }
}

/** A way to the broker that can be cut, and on which the broker can be held up. */
export class Wire {
  #sockets = new Set();
  #answers = new Set();
  #server;
  #isCut = false;
  #target;

  static async to(address) {
    const wire = new Wire();
    wire.#target = address;
    wire.#server = createServer((near) => {
      if (wire.#isCut) return near.destroy();
      const [host, port] = wire.#target.split(":");
      const far = connect(Number(port), host);
      for (const [one, other] of [[near, far], [far, near]]) {
        wire.#sockets.add(one);
        one.on("error", () => {});
        one.on("close", () => {
          wire.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
      wire.#answers.add([far, near]);
    });
    await new Promise((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    wire.address = `127.0.0.1:${wire.#server.address().port}`;
    return wire;
  }

  /** Cuts what goes through it; until it is mended nothing else does. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** What the broker says waits on its way. */
  holdUp() {
    for (const [far, near] of this.#answers) far.unpipe(near);
  }

  /** It comes. */
  letThrough() {
    for (const [far, near] of this.#answers) far.pipe(near);
  }

  /** It leads there again, or to another broker from now on. */
  mend(address = this.#target) {
    this.#target = address;
    this.#isCut = false;
  }

  close() {
    this.#server.close();
    this.cut();
  }
}
