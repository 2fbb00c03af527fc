// A channel's roster, as the fold of its entries, and what became of rank 0.

/** Changes and reigns that are remembered. */
const CHANGES_MAX = 200;
const REIGNS_MAX = 120;
/** Members up to which each change is folded at once; the roster of more is asked for instead. */
const FOLDED_MAX = 2_000;

/** Whether an entry changes the roster. */
export const isChange = ({ frame }) => frame === "join" || frame === "left" || frame === "move";

/** The rows of a roster after a change, the newcomers' terms with them. */
export function after(rows, entry) {
  const next = rows.slice();
  const { frame, seq, member } = entry;
  const renew = (from, to) => {
    for (let at = from; at < to; at += 1) next[at] = { ...next[at], term: seq };
  };
  if (frame === "join") {
    next.splice(entry.rank, 0, { member, term: seq, away: false, since: null, behind: 0 });
  } else if (frame === "left") {
    next.splice(entry.rank, 1);
    renew(entry.rank, next.length);
  } else {
    const [moved] = next.splice(entry.old, 1);
    if (moved) next.splice(entry.new, 0, moved);
    renew(Math.min(entry.old, entry.new), Math.min(Math.max(entry.old, entry.new) + 1, next.length));
  }
  return next;
}

/** The rows before a change; terms of then are not known. */
export function before(rows, entry) {
  const last = rows.slice();
  const { frame, member } = entry;
  if (frame === "join") last.splice(entry.rank, 1);
  else if (frame === "left") last.splice(entry.rank, 0, { member, term: null, away: false });
  else {
    const [moved] = last.splice(entry.new, 1);
    if (moved) last.splice(entry.old, 0, moved);
  }
  return last;
}

/**
 * A roster and its past. A *change* is an entry with what it meant: `top`, who
 * holds rank 0 after it, whether that is somebody `new`, and how many `rose`.
 * A *reign* is a span of rank 0: by a member, or vacant (`member` is null, or
 * `away` is true: its seat is held for somebody whose connection is lost).
 */
export class Roster {
  rows = [];
  view = 0;
  changes = [];
  reigns = [];

  /** Begins with a reply to `ranks`, and the entries before it as far as there are any. */
  begin({ rows, view }, entries, now) {
    this.rows = rows;
    this.view = view;
    const past = entries.filter((entry) => isChange(entry) && entry.seq <= view);
    // Backwards, from what is known to what must have been.
    const known = new Set(this.changes.map(({ entry }) => entry.seq));
    const changes = [];
    for (let then = rows, at = past.length - 1; at >= 0; at -= 1) {
      const earlier = before(then, past[at]);
      if (!known.has(past[at].seq)) changes.unshift(meaning(earlier, then, past[at], null));
      then = earlier;
    }
    this.changes = [...this.changes, ...changes].slice(-CHANGES_MAX);
    this.#note(now, null);
  }

  /** Goes on with an entry that has come. */
  apply(entry, now) {
    if (!isChange(entry)) return null;
    if (this.changes.some((known) => known.entry.seq === entry.seq)) return null;
    const isNews = entry.seq > this.view && this.rows.length <= FOLDED_MAX;
    const rows = isNews ? after(this.rows, entry) : this.rows;
    const change = meaning(isNews ? this.rows : before(rows, entry), rows, entry, now);
    this.changes = [...this.changes, change].slice(-CHANGES_MAX);
    if (isNews) {
      this.rows = rows;
      this.view = entry.seq;
      this.#note(now, change);
    }
    return change;
  }

  /** Takes what the broker says, unless that is older than what is known. */
  adopt({ rows, view }, now) {
    if (view < this.view) return;
    this.rows = rows;
    this.view = view;
    this.#note(now, null);
  }

  /** How far the member is behind that is furthest, in entries. */
  get lag() {
    return this.rows.reduce((most, { behind }) => Math.max(most, behind ?? 0), 0);
  }

  /** Notes who holds rank 0, if that is somebody else than before. */
  #note(now, change) {
    const [top] = this.rows;
    const [member, away] = [top?.member ?? null, Boolean(top?.away)];
    const last = this.reigns.at(-1);
    if (last && last.member === member && last.away === away) {
      last.term = top?.term ?? last.term;
      return;
    }
    const why = change ?? this.changes.findLast(({ entry }) => entry.seq === top?.term) ?? null;
    if (last) last.to = now;
    const reign = { member, away, term: top?.term ?? null, from: now, to: null, why };
    this.reigns = [...this.reigns, reign].slice(-REIGNS_MAX);
  }
}

function meaning(earlier, later, entry, at) {
  const [was, top] = [earlier[0]?.member ?? null, later[0]?.member ?? null];
  return { entry, at, top, isNewTop: top !== was, rose: rose(entry, later.length) };
}

/** How many members have a higher rank after an entry, of those that are left. */
function rose(entry, members) {
  if (entry.frame === "join") return 0;
  if (entry.frame === "left") return Math.max(members - entry.rank, 0);
  return entry.new < entry.old ? 1 : entry.new - entry.old;
}

const REASONS = {
  quit: "it left on purpose",
  unsub: "it left on purpose",
  lost: "its connection was lost",
  timeout: "nothing was heard of it",
  kicked: "it was removed",
  dropped: "the channel was dropped",
};

/** A change in words: what happened, and what that meant for the others. */
export function told({ entry, top, isNewTop, rose }) {
  const { frame, member } = entry;
  if (frame === "join") {
    return [`joined at rank ${entry.rank}`, isNewTop ? "and is in command" : ""];
  }
  if (frame === "left") {
    const others = isNewTop ? rose - 1 : rose;
    const heir = isNewTop && top ? `${top} takes command` : "";
    const rest = others > 0 ? `${others}${isNewTop ? " more" : ""} rose` : "";
    const vacant = isNewTop && !top ? "rank 0 is vacant" : "";
    const reason = REASONS[entry.reason] ?? entry.reason;
    const meant = [heir, rest, vacant].filter(Boolean).join(", ");
    return [`left rank ${entry.rank}: ${reason}`, meant];
  }
  if (entry.old === entry.new) return [`keeps rank ${entry.new}, with a new term`, ""];
  const heir = isNewTop ? (top === member ? "and is in command" : `${top} takes command`) : "";
  return [`${entry.new < entry.old ? "rose" : "fell"} from rank ${entry.old} to ${entry.new}`, heir];
}
