// What the page knows of the broker: figures and channels, asked for once a
// second, and one channel that it observes, entry by entry. Without a rank: to
// look at something must not change it.
import { Link } from "./link.js";
import { Roster } from "./roster.js";

const TICK_MS = 1_000;
/** Nobody looks: figures are still asked for, so that the plots have no holes, but seldom. */
const TICK_HIDDEN_MS = 5_000;
/** Seconds that the plots go back. */
export const SAMPLES = 300;
/** Entries that are shown, and that are fetched when a channel is chosen. */
const ENTRIES_MAX = 300;
const ENTRIES_PAST = 200;
/** Entries a second from which on nobody reads them all: some are fetched once a second instead. */
const FAST = 1_000;
/** Entries of each such fetch. */
const ENTRIES_FETCHED = 30;
/** Seconds of a channel's rate that are shown beside it. */
const RATES = 30;

export class Watch {
  status = "connecting";
  reason = "";
  version = "";
  stats = null;
  rates = { published: 0, delivered: 0 };
  samples = [];
  channels = null; // by name, once they are known
  chosen = null; // the name of the channel that is observed
  created = ""; // when: another channel of that name is another one
  missing = false; // there is no channel of that name
  roster = new Roster();
  entries = [];
  mode = "off"; // `live`, `sampled` or `off`
  #arrived = 0;
  #slowTicks = 0;
  #round = 0; // of observing: replies to an earlier one are of no interest
  #next = 0; // the seq that comes next, as far as is known
  #timer = 0; // of the next tick
  #last = null; // the figures of the last tick, and when that was

  /**
   * `changed()` is called whenever there is something new, `change(change)` for each of the
   * roster, `tell(text)` says something to the user.
   */
  constructor(on) {
    this.on = on;
    this.link = new Link({
      open: () => this.#open(),
      frame: (frame) => this.#frame(frame),
      wants: (text) => this.mode === "live" || !text.startsWith('{"frame":"msg"'),
      status: (status, reason) => this.#status(status, reason),
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.#tick());
  }

  /** Observes this channel. */
  choose(name) {
    const left = this.chosen;
    if (left === name) return;
    this.chosen = name;
    this.#forget();
    if (this.status === "open") {
      this.#unsub(left);
      this.#observe();
    }
    this.on.changed();
  }

  #forget() {
    [this.created, this.roster, this.entries, this.#next] = ["", new Roster(), [], 0];
  }

  async #open() {
    this.version = (await this.link.ask({ op: "version" })).broker;
    this.#last = null;
  }

  #status(status, reason) {
    [this.status, this.reason] = [status, reason];
    if (status === "open") {
      this.#observe();
      this.#tick();
    } else {
      this.mode = "off";
    }
    this.on.changed();
  }

  #unsub(name) {
    if (name && this.mode === "live") this.link.ask({ op: "unsub", channel: name }).catch(() => {});
    this.mode = "off";
  }

  /** Fetches what was, and goes on with what comes, without a hole in between. */
  async #observe() {
    const channel = this.chosen;
    const round = (this.#round += 1);
    const isOver = () => round !== this.#round || channel !== this.chosen;
    this.missing = false;
    if (!channel) return;
    try {
      const known = await this.#fetch(channel, ENTRIES_PAST);
      if (isOver()) return;
      this.#begin(known);
      if (this.#rate(channel) > FAST) {
        this.mode = "sampled";
      } else {
        const from = known.next ?? (this.#next || undefined);
        // Of a channel that was dropped the end may come late, when the next one is observed already.
        this.link.ask({ op: "unsub", channel }).catch(() => {});
        await this.link.ask({ op: "sub", channel, observe: true, from });
        if (isOver()) return this.link.ask({ op: "unsub", channel }).catch(() => {});
        [this.mode, this.#arrived] = ["live", 0];
      }
    } catch (fault) {
      if (isOver()) return;
      this.mode = "off";
      if (fault.code === "no-channel") this.#dropped();
      else if (fault.code !== "lost") this.on.tell(fault.message);
    }
    this.on.changed();
  }

  #begin({ ranks, rows, created }) {
    const now = Date.now();
    // Two of one name may be made within a second: then lower seqs tell them apart.
    const isLower = ranks.view < this.roster.view || (rows.at(-1)?.seq ?? Infinity) + 1 < this.#next;
    if (created !== this.created || isLower) this.#forget();
    this.created = created;
    this.roster.begin(ranks, rows, now);
    for (const entry of rows) if (entry.seq > ranks.view) this.roster.apply(entry, now);
    this.#add(rows);
  }

  /** The roster first, so that its view is among the entries that come after. */
  async #fetch(channel, last) {
    const ranks = this.link.ask({ op: "ranks", channel });
    const history = this.link.ask({ op: "history", channel, last });
    const info = this.#created(channel);
    for (const other of [history, info]) other.catch(() => {}); // the first of them tells
    return { ranks: await ranks, ...(await history), created: await info };
  }

  async #created(channel) {
    return (await this.link.ask({ op: "info", channel })).rows[0].created;
  }

  #frame(frame) {
    if (frame.channel !== this.chosen) return;
    if (frame.frame === "gap") return this.#gap(frame);
    // A channel that is dropped tells each who was there, without a name's place.
    if (frame.frame === "left" && frame.reason === "dropped") return this.#dropped();
    if (frame.seq === undefined || this.mode !== "live" || frame.seq < this.#next) return;
    this.#arrived += 1;
    this.#add([frame]);
    const change = this.roster.apply(frame, Date.now());
    if (change) this.on.change(change);
    // Do not wait for the next tick: by then there may be a hundred thousand.
    if (this.#arrived > 2 * FAST) this.#sample();
    this.on.changed();
  }

  #add(entries) {
    const fresh = entries.filter(({ seq }) => seq >= this.#next);
    if (!fresh.length) return;
    this.#next = fresh.at(-1).seq + 1;
    this.entries = [...this.entries, ...fresh].slice(-ENTRIES_MAX);
  }

  /** Some entries are gone that it was to get; perhaps some of them changed the roster. */
  #gap(frame) {
    this.#add([{ ...frame, seq: frame.to }]);
    this.#look(this.chosen).catch(() => {});
    this.on.changed();
  }

  /** There is no such channel, or none any more: what was in it is not in the next one. */
  #dropped() {
    if (this.created) this.on.tell(`The channel ${this.chosen} is gone.`);
    [this.mode, this.missing] = ["off", true];
    this.#forget();
    this.on.changed();
  }

  #sample() {
    this.#unsub(this.chosen);
    this.mode = "sampled";
    this.#slowTicks = 0;
  }

  async #tick() {
    clearTimeout(this.#timer);
    if (this.status !== "open") return;
    const began = performance.now();
    try {
      await this.#ask();
    } catch {
      return; // the link has told what is to be told
    } finally {
      this.on.changed();
    }
    clearTimeout(this.#timer);
    // Long lists cost both sides something.
    const rows = this.channels.size + this.roster.rows.length;
    const every = Math.max(document.hidden ? TICK_HIDDEN_MS : TICK_MS, rows / 2);
    this.#timer = setTimeout(() => this.#tick(), Math.max(every - (performance.now() - began), 100));
  }

  async #ask() {
    const { chosen } = this;
    const asked = [this.link.ask({ op: "stats" }), this.link.ask({ op: "channels" })];
    const observed = chosen && this.mode !== "off" ? this.#look(chosen) : this.#find(chosen);
    const [stats, channels] = await Promise.all([...asked, observed]);
    this.#figures(stats, channels.rows);
  }

  async #look(channel) {
    const isSampled = this.mode === "sampled";
    try {
      const [created, ranks] = await Promise.all([this.#created(channel), this.link.ask({ op: "ranks", channel })]);
      if (channel !== this.chosen || this.mode === "off") return;
      if (created !== this.created) return this.#anew();
      this.roster.adopt(ranks, Date.now());
      if (!isSampled) return;
      const history = await this.link.ask({ op: "history", channel, last: ENTRIES_FETCHED });
      if (channel !== this.chosen || this.mode !== "sampled") return;
      this.#add(history.rows);
      for (const entry of history.rows) this.roster.apply(entry, Date.now());
      this.#slowTicks = this.#rate(channel) < FAST / 2 ? this.#slowTicks + 1 : 0;
      if (this.#slowTicks > 2) this.#observe();
    } catch (fault) {
      if (fault.code === "no-channel" && channel === this.chosen) this.#dropped();
      else if (fault.code === "lost") throw fault;
    }
  }

  /** It was dropped and made again, and this is the other one. */
  #anew() {
    this.mode = "off";
    this.#forget();
    this.#observe();
  }

  /** The channel was not there, or is gone: perhaps somebody has made it meanwhile. */
  #find(channel) {
    if (channel && this.missing && this.channels?.has(channel)) this.#observe();
  }

  #rate(channel) {
    return this.channels?.get(channel)?.rate ?? 0;
  }

  #figures(stats, rows) {
    const at = performance.now();
    const last = this.#last;
    const secs = last ? (at - last.at) / 1000 : 0;
    const per = (now, then) => (secs && now >= then ? (now - then) / secs : 0);
    const known = this.channels ?? new Map();
    this.channels = new Map(rows.map((row) => {
      const { seq, rates = [] } = known.get(row.channel) ?? row;
      const rate = per(row.seq, seq);
      return [row.channel, { ...row, rate, rates: [...rates, rate].slice(-RATES) }];
    }));
    this.rates.published = per(stats.published, last?.stats.published ?? 0);
    this.rates.delivered = per(stats.delivered, last?.stats.delivered ?? 0);
    [this.stats, this.#last, this.#arrived] = [stats, { at, stats }, 0];
    if (!last) return;
    const { lag } = this.roster;
    const sample = { at: Date.now() / 1000, ...this.rates, lag, memory: stats.memory_bytes ?? null };
    this.samples = [...this.samples, sample].slice(-SAMPLES);
  }
}
