// node pictures.mjs HOST:PORT FOLDER: makes the pictures of the README, with a
// broker that has nothing in it yet. They get a third of their size by
// pngquant --quality 70-95 --strip --ext .png --force FOLDER/page*.png
import { join } from "node:path";
import { ladder, open, shows } from "./browser.mjs";
import { Member } from "./member.mjs";

const [, , address, folder] = process.argv;
const SIZE = { width: 1280, height: 800 };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const WORDS = ["backup finished in 41 s", "node 3 is back", "disk at 71 %", "deploy 118 is out",
  "certificate renewed", "queue is empty", "load is falling"];
const ANSWERS = { bob: "up 12 days", carol: "--code 3 disk full", dave: "up 3 days", erin: null };

const feeder = await Member.enter(address, "feeder");
await feeder.ask("create ops --history 400", /^ok create/);
for (const channel of ["telemetry", "orders", "audit"]) await feeder.ask(`create ${channel}`, /^ok create/);
const sensor = await Member.join(address, "sensor-7", "telemetry");
await Member.join(address, "till-2", "orders");
const crew = {};
for (const name of ["alice", "bob", "carol", "dave", "erin"]) {
  crew[name] = await Member.join(address, name, "ops");
  if (name in ANSWERS) crew[name].obey(() => ANSWERS[name]);
}

let said = 0;
const talk = setInterval(() => {
  const speakers = ["bob", "carol", "dave", "erin"];
  if (said % 2 === 0) crew[speakers[(said / 2) % 4]].send(`pub ops ${WORDS[(said * 5) % 7]}`);
  if (said % 7 === 3) crew.dave.send('pub --json ops {"host":"db-2","load":0.37,"ok":true}');
  const busy = 30 + Math.round(18 * Math.sin(said / 9) + 8 * Math.random());
  for (let at = 0; at < busy; at += 1) sensor.send(`pub telemetry t=${20 + at / 10}`);
  for (let at = 0; at < 4 + (said % 5); at += 1) feeder.send(`pub orders ${at}`);
  said += 1;
}, 500);

const { page, close } = await open(address, { ...SIZE, hash: "#ops" });
const picture = (name, options = {}) => page.screenshot({ path: join(folder, `${name}.png`), ...options });
await ladder(page, "alice", "bob", "carol", "dave", "erin");
await sleep(40_000);
crew.alice.send("/rotate-logs");
await shows(page, ".entry.cmd", "rotate-logs");
await sleep(3_000);
await picture("page");
crew.alice.kill();
// Holds the moment in which one is half gone and the others are on their way.
await page.evaluate(() => new Promise((resolve) => {
  const look = () => {
    const leaver = document.querySelector(".leaver");
    if (!leaver) return requestAnimationFrame(look);
    for (const one of document.getAnimations()) {
      one.pause();
      one.currentTime = one.effect.target === leaver ? 260 : 290;
    }
    resolve();
  };
  look();
}));
await picture("page-kill");
await page.evaluate(() => document.getAnimations().forEach((one) => one.finish()));
await ladder(page, "bob", "carol", "dave", "erin");
await sleep(7_000);
crew.bob.send("yield");
await sleep(5_000);
await page.getByLabel("Your name").fill("yuki");
await page.getByRole("button", { name: "Join" }).click();
await shows(page, ".enter", "You are yuki");
crew.carol.send("promote ops yuki");
await shows(page, ".enter", "rank 0");
await sleep(4_000);
await page.locator("#composer").fill("/uptime -p");
await page.keyboard.press("Enter");
await shows(page, ".given", "3 of 4 results");
await page.emulateMedia({ colorScheme: "dark" });
await page.mouse.move(0, 0);
await sleep(1_500);
await picture("page-dark");
await page.emulateMedia({ colorScheme: "light" });
await page.setViewportSize({ width: 390, height: 800 });
await sleep(1_500);
await picture("page-phone");
clearInterval(talk);
await close();
process.exit(0);
