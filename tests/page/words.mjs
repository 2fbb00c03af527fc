// The page's own small parts, without a browser.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// As modules, which an older Node.js would not take a file named .js for; the connection is made up.
const folder = mkdtempSync(join(tmpdir(), "words-"));
process.on("exit", () => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "package.json"), '{"type":"module"}');
for (const name of ["roster.js", "self.js", "words.js"]) {
  copyFileSync(new URL(`../../src/page/${name}`, import.meta.url), join(folder, name));
}
writeFileSync(join(folder, "link.js"), `export class Link {
  constructor(on) {
    globalThis.link = this;
    this.on = on;
    this.begin();
  }
  async begin() {
    await null;
    await this.on.open();
    this.on.status("open", "");
  }
  async ask(request) {
    return globalThis.replies[request.op];
  }
}`);
const part = (name) => import(join(folder, name));
const { Roster, after, before, told } = await part("roster.js");
const { bytes, meant, parse, payload, short, span, split, visible } = await part("words.js");

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

// A line with a slash is a command, and with two it is a text that begins with one.
for (const [line, what] of [
  ["plain /text", { text: "plain /text" }],
  ["", { text: "" }],
  ["/reload 'a b'", { words: ["reload", "a b"] }],
  ["/", { words: [] }],
  ["/say 'x", { words: null }],
  ["//reload", { text: "/reload" }],
  ["///", { text: "//" }],
]) assert.deepEqual(meant(line), what, line);

// A number in a payload is what was written.
if (JSON.rawJSON) {
  const big = '{"n":[18446744073709551615,-0.10,1E3,7]}';
  for (const text of [`{"frame":"msg","channel":"c","seq":7,"from":"a","data":${big}}`, `{"reply":"history","rows":[{"seq":7,"data":${big}}]}`]) {
    const said = parse(text);
    const { seq, data } = said.rows?.[0] ?? said;
    assert.deepEqual([seq, payload(data)], [7, big]);
  }
} else {
  console.log(`numbers: SKIPPED, Node.js ${process.version} has no JSON.rawJSON`);
}
assert.deepEqual(parse('{"frame":"rank","rank":1.0}'), { frame: "rank", rank: 1 });

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
// A user whose broker was started anew, in the same seat: a command's results do not come any more.
const { Self } = await part("self.js");
globalThis.replies = {
  stats: { uptime: 100 }, hello: { name: "yuki", session: "s", secret: "t" }, sub: { rank: 0, term: 1 },
  rank: { rank: 0, term: 1 }, cmd: { seq: 7, to: 1 },
};
const self = new Self({ changed() {}, tell() {} });
await self.join("ops", "yuki");
await self.command("ops", "", ["wait"], ["bob"]);
await globalThis.link.begin();
assert.deepEqual([self.given[0].isOver, self.isIn("ops")], [false, true], "only the connection was lost");
globalThis.replies.stats = { uptime: 0 };
await globalThis.link.begin();
assert.deepEqual([self.given[0].isOver, self.isIn("ops")], [true, true], "the broker was started anew");
await self.command("ops", "", ["wait"], ["bob"]);
assert.deepEqual(self.given.map(({ isOver }) => isOver), [false, true], "and takes commands");
globalThis.link.on.frame({ frame: "done", channel: "ops", seq: 7, ok: 1, sent: 1 });
assert.deepEqual(self.given.map(({ done }) => done?.ok), [1, undefined], "the next channel's seqs may be the same");
console.log("words: passed");
