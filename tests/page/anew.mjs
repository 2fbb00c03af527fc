// What the page must do when something is not any more what it was: a channel, a broker, what the
// next line in the box means, or how much there is to be shown. They get the broker's address, and another's if they need one.
import assert from "node:assert/strict";
import { accessible, joinAs, with_page } from "./checks.mjs";
import { keep, ladder, open, shows, until } from "./browser.mjs";
import { Member, Wire } from "./member.mjs";

/** What is shown of the channel, and nothing else: its messages, and who has come and gone. */
async function holds(page, messages, changes) {
  await until(page, `it shows ${messages}, and ${changes}`, ([said, changed]) => {
    const texts = (selector) => [...document.querySelectorAll(selector)].map((one) => one.textContent).join();
    return texts(".entry.msg .text") === said && texts(".change b") === changed;
  }, [messages.join(), changes.join()]);
}

export async function dropped_and_made_again(address) {
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --history 20", /^ok create/);
  await alice.ask("sub ops", /^ok sub/);
  await alice.ask("pub ops old", /^ok pub ops 2/);
  const again = async (name, words) => {
    await alice.ask(`create ops --history 20`, /^ok create/);
    const member = await Member.join(address, name, "ops");
    for (const word of words) await member.ask(`pub ops ${word}`, /^ok pub/);
    return member;
  };
  await with_page(address, { hash: "#ops" }, async (page) => {
    await holds(page, ["old"], ["alice"]);
    await alice.ask("drop ops", /^ok drop/);
    await shows(page, ".channel", "There is no channel of this name");
    await shows(page, ".note", "The channel ops is gone.");
    await holds(page, [], []);
    await ladder(page);
    // Its seqs begin with 1: what is new is not what is known already.
    const bob = await again("bob", ["one", "two"]);
    await holds(page, ["one", "two"], ["bob"]);
    await ladder(page, "bob");
    await bob.ask("pub ops three", /^ok pub/);
    await holds(page, ["one", "two", "three"], ["bob"]);
    // In one breath, so that nobody sees that it was not there.
    bob.send("drop ops\ncreate ops --history 20\nsub ops\npub ops four");
    await bob.expect(/^ok pub ops 2/);
    await holds(page, ["four"], ["bob"]);
    assert.equal(await page.locator(".reign").count(), 1, "one reign, of the channel that there is");
  });
}

export async function another_broker(address, next) {
  const wire = await Wire.to(address);
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --history 20", /^ok create/);
  await alice.ask("sub ops", /^ok sub/);
  await alice.ask("pub ops old", /^ok pub/);
  const { page, close } = await open(wire.address, { hash: "#ops" });
  try {
    await holds(page, ["old"], ["alice"]);
    await joinAs(page, "yuki");
    await alice.ask("yield ops", /^ok yield/);
    await ladder(page, "yuki", "alice");
    await page.locator("#composer").fill("/wait");
    await page.keyboard.press("Enter");
    await shows(page, ".result.waits", "alice waits");
    // As a broker that was started anew, without --data.
    wire.cut();
    await shows(page, ".status", "coming back");
    await shows(page, ".enter", "Coming back as yuki");
    wire.mend(next);
    await shows(page, ".note", "the broker does not know you any more");
    await shows(page, ".channel", "There is no channel of this name");
    await holds(page, [], []);
    await ladder(page);
    await shows(page, ".given", "0 of 1 results, no more will come");
    await shows(page, ".result.left", "alice no result");
    assert.equal(await page.locator(".result.waits").count(), 0, "nobody waits any more");
    await shows(page, ".enter", "You observe.");
    const neo = await Member.enter(next, "neo");
    await neo.ask("create ops --history 20", /^ok create/);
    await neo.ask("sub ops", /^ok sub/);
    await neo.ask("pub ops fresh", /^ok pub/);
    await holds(page, ["fresh"], ["neo"]);
    await ladder(page, "neo");
    // And back, where more is there than was seen of it here: a higher view is no proof of sameness.
    wire.cut();
    await shows(page, ".status", "coming back");
    await alice.ask("pub ops meanwhile", /^ok pub/);
    wire.mend(address);
    await until(page, "the first ops is back", () => document.querySelector(".ladder")?.textContent.includes("alice"));
    await shows(page, ".entry.msg", "old");
    await shows(page, ".entry.msg", "meanwhile");
    assert.equal(await page.locator(".entry.msg", { hasText: "fresh" }).count(), 0, "that was in the other");
    await keep(page, "another-broker");
    await close();
  } finally {
    wire.close();
  }
}

export async function the_same_after_a_reload(address) {
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --hold 60", /^ok create/);
  await with_page(address, { hash: "#ops" }, async (page) => {
    await joinAs(page, "yuki");
    const bob = await Member.join(address, "bob", "ops");
    await ladder(page, "yuki", "bob");
    await page.reload();
    await shows(page, ".enter", "You are yuki, rank 0");
    await ladder(page, "yuki", "bob");
    assert.match(await bob.ask("ranks ops", /^member ops 0/), /^member ops 0 yuki term=1 away=no /);
    await page.locator("#composer").fill("/wave");
    await page.keyboard.press("Enter");
    await bob.expect(/^cmd ops \d+ yuki 0 1 wave$/);
    // A tab that is duplicated has all that the first one keeps, and is somebody else.
    const [second] = await Promise.all([page.waitForEvent("popup"), page.evaluate(() => { window.open(location); })]);
    await shows(second, ".enter", "You observe.");
    await ladder(second, "yuki", "bob");
    await second.close();
    // What it was told to do is still to be done.
    await page.getByRole("button", { name: "Step down" }).click();
    await shows(page, ".enter", "rank 1");
    await bob.ask("/report now", /^ok cmd/);
    await shows(page, ".received", "bob commands you: /report");
    await page.reload();
    await shows(page, ".enter", "You are yuki, rank 1");
    await shows(page, ".received", "bob commands you: /report");
    // It comes again, and stands there once.
    await bob.ask("/report again", /^ok cmd/);
    await shows(page, ".received", "bob commands you: /report again");
    await until(page, "there are two", () => document.querySelectorAll(".received").length === 2);
    await page.getByRole("button", { name: "Done" }).last().click();
    await bob.expect(/^ack ops \d+ yuki 1 0 done by hand$/);
    await page.getByRole("button", { name: "Leave" }).click();
    await ladder(page, "bob");
    await page.reload();
    await ladder(page, "bob");
    await shows(page, ".enter", "You observe.");
  });
}

export async function each_line_for_itself(address) {
  await with_page(address, { hash: "#ops" }, async (page) => {
    const say = async (line) => {
      await page.locator("#composer").fill(line);
      await page.keyboard.press("Enter");
    };
    const mode = (wanted) => until(page, `the mode is ${wanted}`, (name) =>
      document.querySelector("[name=mode]:checked + span").textContent === name, wanted);
    await joinAs(page, "yuki");
    // With nobody below it is no command, and does not become a message either.
    await say("/shut-down");
    await shows(page, ".compose", "To say something that begins with a slash, write two");
    const bob = await Member.join(address, "bob", "ops");
    await Member.join(address, "carol", "ops");
    await ladder(page, "yuki", "bob", "carol");
    await page.keyboard.press("Enter");
    await bob.expect(/^cmd ops \d+ yuki 0 1 shut-down$/);
    await mode("Message");
    await say("plain text?");
    await bob.expect(/^msg ops \d+ yuki plain text\?$/);
    await say("//reload");
    await bob.expect(/^msg ops \d+ yuki \/reload$/);
    // What the switch does is seen in the box.
    await page.locator("#composer").fill("wave");
    await page.locator(".modes label", { hasText: "Command" }).click();
    assert.equal(await page.locator("#composer").inputValue(), "/wave");
    await page.getByLabel("To whom").selectOption("bob");
    await page.locator("#composer").press("Enter");
    await bob.expect(/^cmd ops \d+ yuki 0 1 wave$/);
    await mode("Message");
    await shows(page, ".given", "0 of 1 results");
    // The next is for all again.
    await say("/report");
    await bob.expect(/^cmd ops \d+ yuki 0 1 report$/);
    await shows(page, ".given", "0 of 2 results");
    await page.locator("#composer").fill("/oops");
    await page.locator(".modes label", { hasText: "Message" }).click();
    assert.equal(await page.locator("#composer").inputValue(), "oops");
    await mode("Message");
  });
}

export async function the_next_line_is_written_meanwhile(address) {
  const wire = await Wire.to(address);
  const bob = await Member.join(address, "bob", "ops");
  try {
    await with_page(wire.address, { hash: "#ops" }, async (page) => {
      const box = page.locator("#composer");
      const holds = (line) => until(page, `the box holds ${line}`, (wanted) => document.getElementById("composer").value === wanted, line);
      await joinAs(page, "yuki");
      wire.holdUp();
      await box.fill("first");
      await page.keyboard.press("Enter");
      await bob.expect(/^msg ops \d+ yuki first$/);
      await holds("");
      await box.fill("second");
      wire.letThrough();
      await shows(page, ".entry.msg", "first");
      await page.keyboard.press("Enter");
      await bob.expect(/^msg ops \d+ yuki second$/);
      // What could not be sent is there again, unless something else has been written since.
      await bob.ask("drop ops", /^ok drop/);
      await shows(page, ".channel", "There is no channel of this name");
      wire.holdUp();
      await box.fill("third");
      await page.keyboard.press("Enter");
      await holds("");
      wire.letThrough();
      await holds("third");
    });
  } finally {
    wire.close();
  }
}

export async function what_others_say_is_kept(address) {
  const alice = await Member.join(address, "alice", "ops");
  await with_page(address, { hash: "#ops" }, async (page) => {
    await joinAs(page, "yuki");
    await alice.ask("tell yuki only you", /^ok tell/);
    await shows(page, ".note", "alice to you: only you");
    await alice.ask("broadcast to all of you", /^ok broadcast/);
    await alice.ask("fib --to yuki 100", /^ok job/);
    await shows(page, ".told", "354224848179261915075");
    const told = await page.$$eval(".told li", (all) => all.map((one) => one.textContent.replace(/\s+/g, " ").slice(9).trim()));
    assert.deepEqual(told, ["alice job 1, done 354224848179261915075", "alice to everybody to all of you", "alice only you"]);
    await accessible(page, "told");
    await keep(page, "told");
    await page.getByRole("button", { name: "Clear" }).click();
    await until(page, "it is gone", () => !document.querySelector(".told"));
  });
}

export async function nothing_is_squeezed_out(address) {
  const alice = await Member.enter(address, "alice");
  await alice.ask("create ops --history 100", /^ok create/);
  await alice.ask("sub ops", /^ok sub/);
  for (let at = 0; at < 30; at += 1) await Member.join(address, `member-${at}`, "ops");
  await with_page(address, { still: true }, async (page) => {
    await shows(page, ".rung", "member-29");
    await joinAs(page, "yuki");
    await alice.ask("/prepare now", /^ok cmd/);
    for (let at = 0; at < 5; at += 1) await alice.ask(`tell yuki for the ${at}th time, please hold your commands`, /^ok tell/);
    await alice.ask("promote ops yuki", /^ok promote/);
    await shows(page, ".rung.top", "yuki");
    for (const command of ["/one", "/two", "/three"]) {
      await page.locator("#composer").fill(command);
      await page.keyboard.press("Enter");
      await shows(page, ".given", command);
    }
    for (const [width, height] of [[1440, 900], [1280, 720], [1280, 600], [820, 1100], [360, 740]]) {
      await page.setViewportSize({ width, height });
      for (const [part, least, sheet] of [[".ladder", 100, ".channel"], [".changes", 80, ".channel"], [".stream", 80, ".talk"], ["#composer", 20, ".talk"]]) {
        const [seen, whole] = await page.evaluate(([inner, outer]) => {
          const [one, other] = [inner, outer].map((selector) => document.querySelector(selector).getBoundingClientRect());
          return [Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top), one.height];
        }, [part, sheet]);
        assert.ok(seen >= least && seen > whole - 1, `${width} x ${height}: ${seen} of ${whole} px of ${part} are seen`);
      }
    }
    await page.setViewportSize({ width: 360, height: 740 });
    await until(page, "what is said for a moment is as wide as there is room", () =>
      document.querySelector(".note")?.offsetWidth > 250);
  });
}
