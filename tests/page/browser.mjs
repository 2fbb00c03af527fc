// A browser with the page in it, and what is to be found there.
import { chromium } from "playwright-core";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long anything that must happen may take, in milliseconds. */
const DEADLINE_MS = 20_000;

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** The page at this address, as a browser of such a size and taste shows it. */
export async function open(address, { width = 1440, height = 900, dark = false, still = false, hash = "" } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "page-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    viewport: { width, height },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: still ? "reduce" : "no-preference",
  });
  context.setDefaultTimeout(DEADLINE_MS);
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints = [];
  const strangers = [];
  page.on("console", (said) => ["error", "warning"].includes(said.type()) && complaints.push(said.text()));
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (new URL(request.url()).host !== address) strangers.push(request.url());
  });
  const answer = await page.goto(`http://${address}/${hash}`);
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { page, answer, complaints, strangers, close };
}

/** Waits until something is true in the page; `what` is told if it never is. */
export async function until(page, what, isTrue, argument) {
  try {
    return await page.waitForFunction(isTrue, argument, { timeout: DEADLINE_MS });
  } catch (error) {
    const text = await page.evaluate(() => document.body.innerText);
    throw new Error(`it never came true that ${what}: ${error.message}\n${text}`);
  }
}

/** Waits for a ladder with these members, from the top. */
export function ladder(page, ...members) {
  return until(page, `the ladder is ${members}`, (wanted) => {
    const rungs = [...document.querySelectorAll(".ladder ol .rung")];
    return rungs.map((rung) => rung.dataset.member).join() === wanted;
  }, members.join());
}

/** Waits until a part of the page has this text. */
export function shows(page, selector, text) {
  return until(page, `${selector} shows ${JSON.stringify(text)}`, ([where, wanted]) => {
    const found = [...document.querySelectorAll(where)];
    return found.some((one) => one.textContent.replace(/\s+/g, " ").includes(wanted));
  }, [selector, text]);
}

/** Keeps a picture of the page as it is now, for whoever wants to see it. */
export async function keep(page, name) {
  const folder = process.env.PICTURES;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
