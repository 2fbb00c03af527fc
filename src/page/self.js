// What the user does, as a client of its own: nothing of it is there before the
// user joins a channel. It has a name and a session, so it comes back after a
// lost connection, and after the page was loaded again.
import { Link } from "./link.js";
import { visible } from "./words.js";

/** Commands, given and received, that are remembered. */
const COMMANDS_MAX = 20;
/** And of what others have said. */
const TOLD_MAX = 50;
/** Characters of it that are shown over the page for a moment. */
const TOLD_SHOWN = 200;
/** So far apart, in milliseconds, two times at which the broker began are two beginnings: it tells whole seconds. */
const BEGAN_MS_APART = 2_000;

/** Under this name a tab keeps who the user is from when the page goes until it is back. Not while it is there: a tab
 * that is duplicated, and all that it keeps with it, would take the seat away. */
const KEPT = "self";

/** What is kept so, which nobody else gets then; nothing where a browser keeps nothing. */
function take() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    sessionStorage.removeItem(KEPT);
    return kept;
  } catch {
    return null;
  }
}

/** Why a seat is gone, if it is not the user's own doing. */
const LEFT = { kicked: "somebody above removed you", dropped: "the channel was dropped" };

export class Self {
  name = "";
  status = "absent"; // or as a link has it
  reason = "";
  ranks = new Map(); // by channel: where the user is a member, and at which rank
  given = []; // commands, newest first
  received = []; // commands that came, newest first
  told = []; // what others have said to the user, newest first
  #last = 0; // the id of the last of these
  #began = 0; // when the broker did
  #link = null;
  #identity = null;

  /** `changed()` is called whenever there is something new, `tell(text)` says something to the user. */
  constructor(on) {
    this.on = on;
  }

  /** Goes on as who the user was before the page was loaded again, and will do so the next time. */
  resume() {
    const kept = take();
    addEventListener("pagehide", () => this.#keep());
    // Then it was not loaded again: it has been there all the time.
    addEventListener("pageshow", take);
    if (!kept) return;
    [this.name, this.#identity, this.ranks] = [kept.name, kept.identity, new Map(kept.ranks)];
    this.received = kept.received.map((command) => this.#numbered(command));
    this.#enter().catch(() => {}); // it was told
  }

  #keep() {
    if (!this.#identity || !this.ranks.size) return;
    const { name, received } = this;
    const kept = { name, identity: this.#identity, ranks: [...this.ranks], received };
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(kept));
    } catch { /* then the user has to join again */ }
  }

  /** Joins a channel, under this name if the user has none yet. */
  async join(channel, name) {
    if (!this.#link) await this.#enter(name);
    const { rank, term } = await this.#link.ask({ op: "sub", channel, create: true });
    this.ranks.set(channel, { rank, term });
    this.on.changed();
  }

  /** Leaves it. */
  async leave(channel) {
    await this.#link.ask({ op: "unsub", channel });
    this.#gone(channel);
  }

  /** Goes to the bottom of its roster. */
  async stepDown(channel) {
    await this.#link.ask({ op: "yield", channel });
  }

  /** Gives a command to everybody ranked below, or to one of them. */
  async command(channel, to, words, below) {
    const [name, ...args] = words;
    const reply = await this.#link.ask({ op: "cmd", channel, to: to || null, name, args });
    const results = new Map((to ? [to] : below).map((member) => [member, null]));
    const command = { channel, seq: reply.seq, words, sent: reply.to, results, done: null, isOver: false };
    this.given = [this.#numbered(command), ...this.given].slice(0, COMMANDS_MAX);
    this.on.changed();
  }

  /** Says what came of a command that it got. */
  async answer(command, code, text) {
    command.answered = code;
    this.on.changed();
    try {
      await this.#link.ask({ op: "ack", channel: command.channel, seq: command.seq, code, text });
    } catch (fault) {
      command.answered = null;
      this.on.changed();
      throw fault;
    }
  }

  /** Publishes. */
  publish(channel, data) {
    return this.#link.ask({ op: "pub", channel, data });
  }

  /** Forgets what others have said. */
  forget() {
    this.told = [];
    this.on.changed();
  }

  /** Whether it is a member of this channel, and in touch. */
  isIn(channel) {
    return this.status === "open" && this.ranks.has(channel);
  }

  #enter(name) {
    return new Promise((resolve, reject) => {
      this.#link = new Link({
        open: () => this.#open(name),
        frame: (frame) => this.#frame(frame),
        // The page reads the messages as an observer already.
        wants: (text) => !text.startsWith('{"frame":"msg"'),
        status: (status, reason) => {
          [this.status, this.reason] = [status, reason];
          if (status === "open") resolve();
          if (status === "ended") this.#over(reason, reject);
          this.on.changed();
        },
      });
    });
  }

  async #open(name) {
    await this.#meet();
    if (!this.#identity) {
      const { session, secret, ...hello } = await this.#link.ask({ op: "hello", name: name || null });
      [this.name, this.#identity] = [hello.name, { session, secret }];
      return;
    }
    await this.#link.ask({ op: "hello", ...this.#identity }).catch((fault) => {
      throw fault.code === "gone" ? new Error("the broker does not know you any more; join again") : fault;
    });
    for (const channel of [...this.ranks.keys()]) {
      try {
        const { rank, term } = await this.#link.ask({ op: "rank", channel });
        this.ranks.set(channel, { rank, term });
      } catch (fault) {
        if (fault.code === "lost") throw fault;
        this.#gone(channel, fault.message);
      }
    }
  }

  /** A broker that has begun anew knows nothing of the commands that were open: their results do not come. */
  async #meet() {
    const { uptime } = await this.#link.ask({ op: "stats" });
    const began = performance.now() - 1000 * uptime;
    if (began - this.#began > BEGAN_MS_APART) this.#close(() => true);
    this.#began = began;
  }

  /** No more results come of these commands. */
  #close(isMeant) {
    for (const command of this.given) command.isOver ||= isMeant(command);
  }

  /** What comes in a list has a number of its own: a seq may come again, in the next channel of a name. */
  #numbered(one) {
    return { ...one, id: (this.#last += 1) };
  }

  #over(reason, reject) {
    const wasHere = this.ranks.size > 0;
    [this.status, this.name, this.#link, this.#identity] = ["absent", "", null, null];
    this.ranks.clear();
    this.received = [];
    this.#close(() => true);
    if (wasHere && reason !== "quit") this.on.tell(`You are no longer a member: ${reason}.`);
    reject(new Error(reason));
  }

  #gone(channel, why) {
    if (!this.ranks.delete(channel)) return;
    if (why) this.on.tell(`You are no longer a member of ${channel}: ${why}.`);
    this.#close((command) => command.channel === channel);
    this.received = this.received.filter((command) => command.channel !== channel);
    if (!this.ranks.size) this.#link?.end();
    this.on.changed();
  }

  #frame(frame) {
    const { channel, seq } = frame;
    switch (frame.frame) {
      case "rank":
        if (this.ranks.has(channel)) this.ranks.set(channel, { rank: frame.rank, term: frame.term });
        break;
      case "left":
        if (frame.member !== this.name) return;
        this.#gone(channel, LEFT[frame.reason] ?? frame.reason);
        break;
      case "cmd":
        // What came before the connection was lost, or the page loaded again, may come once more.
        if (frame.from === this.name || this.received.some((one) => one.channel === channel && one.seq >= seq)) return;
        this.received = [this.#numbered({ ...frame, answered: null }), ...this.received].slice(0, COMMANDS_MAX);
        break;
      case "ack":
        this.#result(channel, seq, (command) => command.results.set(frame.member, frame));
        break;
      case "done":
        this.#result(channel, seq, (command) => { command.done = frame; });
        break;
      case "tell":
        this.#hear(frame, "");
        break;
      case "broadcast":
        this.#hear(frame, "to everybody");
        break;
      case "job":
        // The page has none of its own: somebody has the result sent here.
        this.#hear(frame, `job ${frame.job}, ${frame.state}`);
        break;
      default:
        return;
    }
    this.on.changed();
  }

  #hear({ from = "the broker", text }, what) {
    const heard = this.#numbered({ from, what, text, at: Date.now() });
    this.told = [heard, ...this.told].slice(0, TOLD_MAX);
    this.on.tell(`${from} ${what ? `(${what})` : "to you"}: ${visible(text.slice(0, TOLD_SHOWN))}`);
  }

  #result(channel, seq, note) {
    const command = this.given.find((one) => one.channel === channel && one.seq === seq);
    if (command) note(command);
  }
}
