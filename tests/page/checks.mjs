// What the page must do, a check each. They get the broker's address.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { keep, ladder, open, shows, until } from "./browser.mjs";
import { Member, Wire } from "./member.mjs";

/** With the page open, does something; then it must have been silent, and asked nobody else. */
export async function with_page(address, options, work) {
  const opened = await open(address, options);
  try {
    await work(opened.page, opened);
    assert.deepEqual(opened.complaints, [], "the console is silent");
    assert.deepEqual(opened.strangers, [], "nobody else is asked for anything");
  } catch (error) {
    await keep(opened.page, "failed");
    throw error;
  } finally {
    await opened.close();
  }
}

/** Counts what leaves the ladder before one's eyes. */
const countLeavers = () => {
  window.leavers = 0;
  new MutationObserver((all) => {
    for (const { addedNodes } of all) for (const node of addedNodes) window.leavers += Number(Boolean(node.matches?.(".leaver")));
  }).observe(document.body, { childList: true, subtree: true });
};

export async function joinAs(page, name) {
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Join" }).click();
  await shows(page, ".enter", `You are ${name}`);
}

export async function roster_moves(address) {
  const alice = await Member.join(address, "alice", "ops");
  await Member.join(address, "bob", "ops");
  await Member.join(address, "carol", "ops");
  await with_page(address, {}, async (page) => {
    await ladder(page, "alice", "bob", "carol");
    await shows(page, ".pick[aria-current]", "ops");
    await shows(page, ".rung.top", "term 1");
    await keep(page, "roster-before");
    await page.evaluate(countLeavers);
    alice.kill();
    await ladder(page, "bob", "carol");
    await keep(page, "roster-moving");
    await shows(page, ".rung.top", "bob");
    await shows(page, ".rung.top", "term 4");
    await shows(page, ".change", "alice left rank 0: its connection was lost");
    await shows(page, ".change .meant", "bob takes command, 1 more rose");
    await shows(page, "#news", "bob takes command");
    await until(page, "rank 0 has had two reigns", () => document.querySelectorAll(".reign").length === 2);
    assert.equal(await page.evaluate(() => window.leavers), 1, "one rung went out");
    const dave = await Member.join(address, "dave", "ops");
    await ladder(page, "bob", "carol", "dave");
    // What a rung looks like goes with its rank.
    const sizes = () => page.$$eval(".rung:not(.leaver) .name", (names) => names.map((name) => getComputedStyle(name).fontSize));
    dave.send("yield");
    const [bobs] = await sizes();
    await Member.enter(address, "eve");
    await page.getByRole("button", { name: "Join" }).click();
    await shows(page, ".enter", "rank 3");
    const [first, ...others] = await sizes();
    assert.equal(first, bobs);
    assert.ok(others.every((size) => size !== bobs), `${others} under ${bobs}`);
    await keep(page, "roster-after");
  });
}

export async function without_motion(address) {
  const alice = await Member.join(address, "alice", "ops");
  await Member.join(address, "bob", "ops");
  await with_page(address, { still: true }, async (page) => {
    await ladder(page, "alice", "bob");
    await page.evaluate(countLeavers);
    alice.kill();
    await ladder(page, "bob");
    assert.equal(await page.evaluate(() => window.leavers), 0, "nothing moves");
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  });
}

export async function rank_0_is_vacant(address) {
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --hold 3", /^ok create/);
  await alice.ask("sub ops", /^ok sub/);
  await Member.join(address, "bob", "ops");
  await with_page(address, {}, async (page) => {
    await ladder(page, "alice", "bob");
    alice.kill();
    await shows(page, ".rung.top.away", "away");
    await shows(page, ".reign.vacant", "alice, away");
    await keep(page, "vacant");
    await ladder(page, "bob");
    await shows(page, ".reign.current", "bob");
    await shows(page, ".channel .head", "vacant for");
  });
}

export async function message_arrives(address) {
  const bob = await Member.join(address, "bob", "ops");
  await with_page(address, {}, async (page) => {
    await page.getByLabel("Message to ops").fill('hello "bob"');
    await page.keyboard.press("Enter");
    await bob.expect(/^msg ops 2 guest-\d+ hello "bob"$/);
    await shows(page, ".entry.msg", 'hello "bob"');
    assert.equal(await page.getByLabel("Message to ops").inputValue(), "");
    await bob.ask('pub --json ops {"n":[1,2]}', /^ok pub/);
    await shows(page, ".entry .json", '{"n":[1,2]}');
    // A number stands there as it was written, though the browser knows no such number.
    await bob.ask('pub --json ops {"n":[9007199254740993,1.0,1e400]}', /^ok pub/);
    await shows(page, ".entry .json", '{"n":[9007199254740993,1.0,1e400]}');
    // Who looks is in no roster.
    assert.match(await bob.ask("ranks ops", /^ok ranks/), /^ok ranks ops 1 view=1$/);
  });
}

export async function results_fill_in(address) {
  await with_page(address, { hash: "#crew" }, async (page) => {
    await shows(page, ".channel", "There is no channel of this name");
    await joinAs(page, "yuki");
    await ladder(page, "yuki");
    const bob = await Member.join(address, "bob", "crew");
    const carol = await Member.join(address, "carol", "crew");
    const dave = await Member.join(address, "dave", "crew");
    bob.obey(() => "up 3 days");
    carol.obey(() => "--code 3 disk full");
    await ladder(page, "yuki", "bob", "carol", "dave");
    await page.locator("#composer").fill("/uptime -p 'a b'");
    await until(page, "a slash begins a command", () => document.querySelector("[name=mode]:checked + span").textContent === "Command");
    await page.keyboard.press("Enter");
    await dave.expect(/^cmd crew \d+ yuki 0 1 uptime -p 'a b'$/);
    await shows(page, ".result.good", "bob done up 3 days");
    await shows(page, ".result.bad", "carol failed (3) disk full");
    await shows(page, ".result.waits", "dave waits");
    await shows(page, ".given", "2 of 3 results");
    await keep(page, "results");
    dave.kill();
    await shows(page, ".result.bad", "dave left");
    await shows(page, ".given", "1 of 3 with code 0");
    // To one of them, and not to the other.
    await page.locator(".modes label", { hasText: "Command" }).click();
    await page.getByLabel("To whom").selectOption("carol");
    await page.locator("#composer").fill("/restart");
    await page.keyboard.press("Enter");
    await carol.expect(/^cmd crew \d+ yuki 0 1 restart$/);
    await shows(page, ".given", "0 of 1 with code 0");
    // And the other way round.
    await page.getByRole("button", { name: "Step down" }).click();
    await shows(page, ".enter", "rank 2");
    await bob.ask("/report now", /^ok cmd/);
    await shows(page, ".received", "bob commands you: /report now");
    await page.getByRole("button", { name: "Done" }).click();
    await bob.expect(/^ack crew \d+ yuki 2 0 done by hand$/);
    await page.getByRole("button", { name: "Leave" }).click();
    await ladder(page, "bob", "carol");
    await shows(page, ".enter", "You observe.");
  });
}

/** The lowest of three; the others are no browsers, and know what they have to do. */
export async function below_a_call_back_and_text(address) {
  await with_page(address, { hash: "#ops" }, async (page) => {
    await ladder(page, "alice", "bob");
    await joinAs(page, "carol");
    await ladder(page, "alice", "bob", "carol");
    await shows(page, ".received", "alice commands you: /reload");
    await page.getByRole("button", { name: "Done" }).click();
    await shows(page, ".entry.msg", "from bob");
    await page.locator("#composer").fill("from carol");
    await page.keyboard.press("Enter");
    await shows(page, ".entry.msg", "from carol");
    const messages = await page.$$eval(".entry.msg", (all) => all.map((one) => one.textContent));
    const order = messages.map((text) => /from \w+/.exec(text)[0]);
    assert.deepEqual(order, ["from alice", "from bob", "from carol"]);
    await ladder(page, "bob", "carol");
    await shows(page, ".enter", "rank 1");
    await shows(page, ".received", "bob commands you: /report");
    await page.getByRole("button", { name: "Done" }).click();
    await ladder(page, "carol");
    await shows(page, ".enter", "rank 0");
  });
}

export async function with_keys_alone(address) {
  const alice = await Member.join(address, "alice", "alpha");
  const bob = await Member.join(address, "bob", "beta");
  await with_page(address, {}, async (page) => {
    await ladder(page, "alice");
    const focused = (selector) => page.evaluate((where) => document.activeElement.matches(where), selector);
    await page.keyboard.press("Tab");
    assert.ok(await focused(".skip"), "the first stop is the way to the box");
    await page.keyboard.press("Tab");
    assert.ok(await focused(".pick"), "the next is a channel");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await ladder(page, "bob");
    assert.equal(new URL(page.url()).hash, "#beta");
    await page.keyboard.press("/");
    assert.ok(await focused("#composer"), "/ leads to the box");
    await page.keyboard.type("by hand");
    await page.keyboard.press("Enter");
    await bob.expect(/^msg beta 2 guest-\d+ by hand$/);
    await page.locator("#name").focus();
    await page.keyboard.type("yuki");
    await page.keyboard.press("Enter");
    await ladder(page, "bob", "yuki");
    await bob.ask("promote beta yuki", /^ok promote/);
    await ladder(page, "yuki", "bob");
    await page.keyboard.press("/");
    await page.keyboard.type("/wave");
    await page.keyboard.press("Enter");
    await bob.expect(/^cmd beta \d+ yuki 0 \d+ wave$/);
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", "one sees where one is");
    alice.kill();
  });
}

/** Finds what people with other senses would stumble over. */
export async function accessible(page, where) {
  // Colours are looked at when nothing is on its way any more.
  await page.evaluate(() => document.getAnimations().forEach((one) => { try { one.finish(); } catch { /* it has no end */ } }));
  const source = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  // Past the page's own policy, which lets nothing in.
  await page.evaluate(readFileSync(source, "utf8"));
  const { violations, passes } = await page.evaluate(() => window.axe.run());
  assert.ok(passes.length > 20, "axe has looked");
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)).join(", ")}`);
  assert.deepEqual(found, [], where);
}

export async function small_dark_and_for_everybody(address) {
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --history 50 --hold 60", /^ok create/);
  await alice.ask("sub ops", /^ok sub/);
  const bob = await Member.join(address, "bob", "ops");
  for (let at = 0; at < 30; at += 1) bob.send(`pub ops backup of node ${at} finished, nothing to complain about`);
  alice.kill();
  const looks = [
    ["phone", { width: 360, height: 740 }],
    ["phone-dark", { width: 360, height: 740, dark: true }],
    ["tablet-dark", { width: 820, height: 1100, dark: true }],
    ["desk", {}],
    ["desk-dark", { dark: true }],
  ];
  for (const [name, options] of looks) {
    await with_page(address, { ...options, still: true }, async (page) => {
      await shows(page, ".rung.away", "alice");
      await shows(page, ".entry.msg", "node 29 finished");
      await joinAs(page, `yuki-${name}`);
      await page.locator(".figure .plot canvas").first().waitFor();
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= (options.width ?? 1440), `${name}: nothing sticks out, ${wide}`);
      const background = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      const [red] = background.match(/\d+/g).map(Number);
      assert.equal(red < 60, Boolean(options.dark), `${name}: ${background}`);
      await accessible(page, name);
      await keep(page, name);
    });
  }
}

export async function nothing_published_runs(address) {
  const script = '<script>window.ran = 1</script><img src=x onerror="window.ran = 2"><svg/onload=alert(3)>';
  const mallory = await Member.join(address, "mallory.-_M", "x-._x");
  await Member.join(address, "c".repeat(128), "x-._x");
  mallory.send(`pub --raw x-._x ${script}`);
  mallory.send("pub --raw x-._x \u202egnp.exe \u2066\u05d0\u200f");
  mallory.send(`pub --json x-._x {"__proto__":{"ran":4},"html":"<b onclick=alert(5)>"}`);
  mallory.send(`/'${script.replaceAll("'", "")}' "\u202e${script.replaceAll('"', "")}"`);
  await mallory.expect(/^ok cmd/);
  mallory.send(`pub --raw x-._x ${"m".repeat(1_000_000)}`);
  await mallory.expect(/^ok pub/);
  await with_page(address, { hash: "#x-._x" }, async (page, { answer }) => {
    const policy = answer.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    await ladder(page, "mallory.-_M", "c".repeat(128));
    await page.reload();
    await page.locator('.stream[data-mode="live"]').waitFor();
    await mallory.ask(`pub --raw x-._x ${script}`, /^ok pub/);
    await shows(page, ".entry.msg .text", script);
    await mallory.ask(`pub --raw x-._x ${"m".repeat(1_000_000)}`, /^ok pub/);
    await shows(page, ".entry.msg", "show more of 1,000,000 characters");
    await page.getByRole("button", { name: /show more of 1,000,000/ }).last().click();
    await shows(page, ".entry.msg", "980,000 more characters");
    await mallory.ask("pub --raw x-._x \u202egnp.exe", /^ok pub/);
    await shows(page, ".entry.msg .text", "\\u{202e}gnp.exe");
    await mallory.ask("/'<b>bold</b>' '<i>'", /^ok cmd/);
    await shows(page, ".entry.cmd .text", "/<b>bold</b> <i>");
    const strange = await page.evaluate(() => ({
      ran: window.ran ?? ({}).ran ?? null,
      elements: document.querySelectorAll("#page script, #page img[onerror], #page svg[onload], #page i, #page bdi b").length,
    }));
    assert.deepEqual(strange, { ran: null, elements: 0 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 1440, `nothing sticks out, ${wide}`);
    await keep(page, "hostile");
  });
}

export async function comes_back(address) {
  const wire = await Wire.to(address);
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --history 100 --hold 30", /^ok create/);
  await alice.ask("sub ops", /^ok sub/);
  try {
    const opened = await open(wire.address, { hash: "#ops" });
    const { page } = opened;
    await joinAs(page, "yuki");
    await ladder(page, "alice", "yuki");
    await alice.ask("pub ops before", /^ok pub/);
    await shows(page, ".entry.msg", "before");
    wire.cut();
    await shows(page, ".status", "coming back");
    await alice.ask("pub ops meanwhile", /^ok pub/);
    wire.mend();
    await shows(page, ".status", "live");
    await shows(page, ".entry.msg", "meanwhile");
    await alice.ask("pub ops after", /^ok pub/);
    await shows(page, ".entry.msg", "after");
    const seqs = await page.$$eval(".entry .seq", (all) => all.map((one) => Number(one.textContent)));
    assert.deepEqual(seqs, seqs.map((_, at) => seqs[0] + at), "each entry once, in order");
    // It is the same member as before, in the same seat.
    await shows(page, ".enter", "You are yuki, rank 1");
    assert.match(await alice.ask("ranks ops", /^member ops 1 /), /^member ops 1 yuki term=2 away=no /);
    await page.locator("#composer").fill("here again");
    await page.keyboard.press("Enter");
    await alice.expect(/^msg ops \d+ yuki here again$/);
    // Only the lost connection was worth a word.
    assert.deepEqual(opened.complaints.filter((one) => !one.includes("WebSocket")), []);
    await opened.close();
  } finally {
    wire.close();
  }
}

export async function what_is_gone_is_told(address) {
  const wire = await Wire.to(address);
  const alice = await Member.join(address, "alice", "plain");
  try {
    const { page, close } = await open(wire.address, { hash: "#plain" });
    await page.locator('.stream[data-mode="live"]').waitFor();
    await alice.ask("pub plain before", /^ok pub plain 2/);
    await shows(page, ".entry.msg", "before");
    wire.cut();
    await shows(page, ".status", "coming back");
    await alice.ask("pub plain nobody keeps this", /^ok pub plain 3/);
    await Member.join(address, "bob", "plain");
    wire.mend();
    await page.locator('.stream[data-mode="live"]').waitFor();
    await ladder(page, "alice", "bob");
    await alice.ask("pub plain after", /^ok pub plain 5/);
    await shows(page, ".entry.msg", "after");
    await shows(page, ".entry.gap", "entries 3 to 4 are gone");
    await close();
  } finally {
    wire.close();
  }
}

export async function too_fast_to_read(address) {
  const alice = await Member.enter(address, "alice");
  await alice.ask("create fast --history 100", /^ok create/);
  await with_page(address, { hash: "#fast" }, async (page) => {
    await shows(page, ".stream", "Nothing has been said yet.");
    let isOver = false;
    const flood = (async () => {
      for (let at = 0; !isOver; at += 1) {
        alice.send(Array.from({ length: 1_000 }, (_, one) => `pub fast ${at}-${one}`).join("\n"));
        await alice.expect(/^ok pub fast \d+000$/);
      }
    })();
    await shows(page, ".talk", "too fast to read");
    await Member.join(address, "bob", "fast");
    await ladder(page, "bob");
    isOver = true;
    await flood;
    await until(page, "it reads every entry again", () => !document.querySelector(".talk .tag.warn"));
    await alice.ask("pub fast the last", /^ok pub/);
    await shows(page, ".entry.msg", "the last");
    const seqs = await page.$$eval(".entry .seq", (all) => all.map((one) => Number(one.textContent)));
    assert.ok(seqs.every((seq, at) => at === 0 || seq > seqs[at - 1]), "in order, each once");
  });
}

export async function from_nothing_to_nothing(address) {
  const alice = await Member.enter(address, "alice");
  await with_page(address, {}, async (page) => {
    await shows(page, ".channels", "There is no channel yet");
    await page.getByLabel("Name of a new channel").fill("not a name");
    await page.getByRole("button", { name: "Create" }).click();
    await shows(page, ".note", "name");
    await page.getByLabel("Name of a new channel").fill("first");
    await page.keyboard.press("Enter");
    await shows(page, ".channel", "Nobody is here. Who joins first is in command.");
    assert.equal(new URL(page.url()).hash, "#first");
    await alice.ask("sub first", /^ok sub first rank=0/);
    await ladder(page, "alice");
    // Two cannot have one name, and one can ask again.
    await page.getByLabel("Your name").fill("alice");
    await page.getByRole("button", { name: "Join" }).click();
    await shows(page, ".note", "alice");
    await joinAs(page, "yuki");
    await alice.ask("kick first yuki enough", /^ok kick/);
    await shows(page, ".note", "You are no longer a member of first: somebody above removed you.");
    await ladder(page, "alice");
    await shows(page, ".change", "yuki left rank 1: it was removed");
    await alice.ask("drop first", /^ok drop/);
    await shows(page, ".channel", "There is no channel of this name");
    await ladder(page);
    await alice.ask("sub first --create", /^ok sub/);
    await ladder(page, "alice");
    await alice.ask("pub first again", /^ok pub/);
    await shows(page, ".entry.msg", "again");
  });
}
