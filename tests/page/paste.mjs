// node paste.mjs URL [FILE]: opens a page, runs what stands in the file as if somebody had
// pasted it into its console, and says what it logs and what stands in its lists.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [, , url, file] = process.argv;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();
page.on("console", async (message) => {
  const words = await Promise.all(message.args().map((arg) => arg.jsonValue().catch(String)));
  console.log(words.map((word) => (typeof word === "string" ? word : JSON.stringify(word))).join(" "));
});
await page.exposeFunction("told", (text) => console.log(text));
await page.goto(url);
await page.evaluate(() => {
  new MutationObserver((all) => {
    for (const { addedNodes } of all) for (const node of addedNodes) if (node.tagName === "LI") window.told(`item ${node.textContent}`);
  }).observe(document.body, { childList: true, subtree: true });
});
if (file) await page.evaluate(readFileSync(file, "utf8"));
console.log("opened");
await new Promise(() => {});
