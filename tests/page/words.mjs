// The page's own small parts, without a browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

// As modules, which an older Node.js would not take a file named .js for.
const part = (name) => {
  const text = readFileSync(new URL(`../../src/page/${name}`, import.meta.url), "utf8");
  return import(`data:text/javascript,${encodeURIComponent(text)}`);
};
const { Roster, after, before, told } = await part("roster.js");
const { bytes, payload, short, span, split, visible } = await part("words.js");

// A line is split as the broker splits it.
for (const [line, words] of [
  ["uptime -p", ["uptime", "-p"]],
  ["  a\t b  ", ["a", "b"]],
  [`say "it's" 'a "b"' c\\ d`, ["say", "it's", 'a "b"', "c d"]],
  ['"a\\"b" "c\\d" ""', ['a"b', "c\\d", ""]],
  ["a'b'c", ["abc"]],
  ["", []],
  ["'open", null],
  ['"open', null],
  ["open\\", null],
]) assert.deepEqual(split(line), words, line);

// What cannot be seen is written out.
assert.equal(visible("a\u202eb\u0000\n\u200f é שלום"), "a\\u{202e}b\\u{0}\\n\\u{200f} é שלום");
assert.equal(payload("text"), "text");
assert.equal(payload({ a: [1] }), '{"a":[1]}');
assert.deepEqual([0, 9.64, 12.4, 1_234, 5e6].map(short), ["0", "9.6", "12", "1.2K", "5M"]);
assert.deepEqual([0, 1023, 1024, 8.5 * 2 ** 20].map(bytes), ["0 B", "1023 B", "1.0 KiB", "8.5 MiB"]);
assert.deepEqual([900, 12_000, 600_000, 2e8].map((ms) => span(ms)), ["0.9 s", "12 s", "10 min", "2 d"]);

// A roster is the fold of its entries, and the fold can be undone.
const dice = (() => {
  let state = 7;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
})();
let rows = [];
const names = (all) => all.map(({ member }) => member);
for (let seq = 1; seq < 3_000; seq += 1) {
  const last = rows;
  let entry;
  const kind = last.length ? dice(3) : 0;
  if (kind === 0) entry = { frame: "join", seq, member: `m${seq}`, rank: last.length };
  else {
    const rank = dice(last.length);
    const { member } = last[rank];
    entry = kind === 1
      ? { frame: "left", seq, member, rank, reason: "lost" }
      : { frame: "move", seq, member, old: rank, new: dice(last.length) };
  }
  rows = after(last, entry);
  assert.deepEqual(names(before(rows, entry)), names(last));
  for (const [rank, { member, term }] of rows.entries()) {
    const was = last.findIndex((row) => row.member === member);
    // A rank's term begins when the rank is got, or when a move to itself renews it.
    const renewed = entry.frame === "move" && entry.old === entry.new && rank === entry.new;
    assert.equal(term, was === rank && !renewed ? last[was].term : seq, JSON.stringify(entry));
  }
}

// What a change meant, and for how long rank 0 was vacant.
const roster = new Roster();
const row = (member, term, away = false) => ({ member, term, away });
roster.begin({ rows: [row("alice", 1), row("bob", 2), row("carol", 3)], view: 3 },
  [{ frame: "join", seq: 1, member: "alice", rank: 0 }, { frame: "msg", seq: 4 }], 1_000);
assert.equal(roster.changes.length, 1);
const left = roster.apply({ frame: "left", seq: 5, member: "alice", rank: 0, reason: "lost" }, 2_000);
assert.deepEqual(told(left), ["left rank 0: its connection was lost", "bob takes command, 1 more rose"]);
assert.equal(roster.apply({ frame: "left", seq: 5, member: "alice", rank: 0, reason: "lost" }, 2_100), null);
roster.adopt({ rows: [row("bob", 5, true), row("carol", 5)], view: 5 }, 3_000);
roster.adopt({ rows: [row("alice", 1)], view: 1 }, 3_500); // older than what is known
roster.apply({ frame: "left", seq: 6, member: "bob", rank: 0, reason: "timeout" }, 4_000);
roster.apply({ frame: "left", seq: 7, member: "carol", rank: 0, reason: "quit" }, 5_000);
assert.deepEqual(
  roster.reigns.map(({ member, away, from, to }) => [member, away, from, to]),
  [["alice", false, 1_000, 2_000], ["bob", false, 2_000, 3_000], ["bob", true, 3_000, 4_000],
    ["carol", false, 4_000, 5_000], [null, false, 5_000, null]],
);
console.log("words: passed");
