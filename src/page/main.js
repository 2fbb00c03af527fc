// The page: what is where, and who tells whom.
//
//   link.js      a connection to the broker
//   watch.js     what the page knows of the broker, through one of them
//   self.js      what the user does, through another
//   roster.js    a roster as the fold of its entries
//   channels.js, ladder.js, reigns.js, stream.js, composer.js, plots.js
//                what is shown of it, a part each
//   words.js, view.js   how
import { html, render, announce } from "./view.js";
import { Watch } from "./watch.js";
import { Self } from "./self.js";
import { told } from "./roster.js";
import { Channels } from "./channels.js";
import { Ladder } from "./ladder.js";
import { Reigns } from "./reigns.js";
import { Stream } from "./stream.js";
import { Composer } from "./composer.js";
import { Plots } from "./plots.js";
import { count, short } from "./words.js";

/** How often the page is drawn at most: more than that nobody can read. */
const DRAW_MS_MIN = 80;
/** How long something that was said to the user stays. */
const NOTE_MS = 8_000;
/** Characters of it, if several things are said at once. */
const NOTE_MAX = 400;

const page = document.getElementById("page");
let note = "";
let isNoteDrawn = true;
let noteTimer = 0;
let drawn = -Infinity;
let isDue = false;

function changed() {
  if (isDue) return;
  isDue = true;
  const wait = DRAW_MS_MIN - (performance.now() - drawn);
  // Nothing is drawn while nobody looks, but something must be there when somebody does.
  if (wait > 0 || document.hidden) setTimeout(draw, Math.max(wait, 0));
  else requestAnimationFrame(draw);
}

function tell(text) {
  // What has not been drawn yet has been read by nobody.
  note = text && !isNoteDrawn ? `${note} ${text}`.slice(-NOTE_MAX) : text;
  isNoteDrawn = false;
  announce(text);
  clearTimeout(noteTimer);
  if (text) noteTimer = setTimeout(() => tell(""), NOTE_MS);
  changed();
}

const self = new Self({ changed, tell });
const watch = new Watch({
  changed,
  tell,
  change: (change) => announce(`${change.entry.member} ${told(change).filter(Boolean).join(": ")}`),
});

/** Does what the user asked for; a failure is told in its own words. */
async function attempt(work) {
  try {
    await work();
    return true;
  } catch (fault) {
    tell(fault.message);
    return false;
  }
}

const actions = {
  choose: (channel) => {
    history.replaceState(null, "", `#${channel}`);
    watch.choose(channel);
  },
  create: (channel) => attempt(async () => {
    await watch.link.ask({ op: "create", channel, if_missing: true });
    actions.choose(channel);
  }),
  join: (name) => attempt(() => self.join(watch.chosen, name)),
  leave: () => attempt(() => self.leave(watch.chosen)),
  stepDown: () => attempt(() => self.stepDown(watch.chosen)),
  publish: (data) => attempt(() => (self.status === "open"
    ? self.publish(watch.chosen, data)
    : watch.link.ask({ op: "pub", channel: watch.chosen, data }))),
  command: (to, words, below) => attempt(() => self.command(watch.chosen, to, words, below)),
  answer: (command, code, text) => attempt(() => self.answer(command, code, text)),
  forget: () => self.forget(),
};

const STATUS = {
  connecting: "connecting…",
  open: "live",
  lost: "connection lost, coming back…",
  ended: "ended",
};

/** Leads to the box to write in. The address stays what it is: it names the channel. */
function toComposer(event) {
  event.preventDefault();
  document.getElementById("composer")?.focus();
}

/** Why a connection was lost, if it was the broker that ended it. */
const WHY = { drain: "the broker sends everybody away for now", shutdown: "the broker was stopped" };

function Header() {
  const { stats, status, reason, version } = watch;
  const why = status !== "open" && reason ? ` (${WHY[reason] ?? reason})` : "";
  return html`<header class="top">
    <h1><img src="/page/icon.svg" alt="" width="22" height="22" /> ranked broker</h1>
    <p class="status" data-status=${status}><span class="dot"></span>${STATUS[status]}${why}</p>
    ${stats && html`<p class="totals">
      <span>${count(stats.clients, "connection")}</span>
      <span>${count(stats.channels, "channel")}</span>
      <span><b>${short(watch.rates.published)}</b> messages/s</span>
    </p>`}
    <p class="place">${location.host}${version && ` · ${version}`}</p>
  </header>`;
}

/** What may be wrong if there was no connection yet. A browser tells a page nothing of it. */
function Refused() {
  return html`<section class="sheet refused"><h2>No connection yet</h2>
    <p class="empty">The page goes on trying. If the broker runs, it may not know this page by its name: then start it with
      ${" "}<code>--allow-origin ${location.origin}</code>, or open the page by the broker's address.</p></section>`;
}

function Page() {
  const { chosen } = watch;
  return html`
    <a class="skip" href="#composer" onClick=${toComposer}>Skip to writing</a>
    <${Header} />
    <main>
      <${Channels} watch=${watch} actions=${actions} />
      ${chosen && html`
        <section class="sheet channel" aria-label=${`Channel ${chosen}`}>
          <${Ladder} watch=${watch} self=${self} actions=${actions} />
          <${Reigns} roster=${watch.roster} />
        </section>
        <section class="sheet talk" aria-label=${`What is said in ${chosen}`}>
          <${Stream} key=${`${chosen} ${watch.created}`} watch=${watch} />
          <${Composer} key=${`composer ${chosen}`} watch=${watch} self=${self} actions=${actions} />
        </section>`}
      ${!watch.channels && watch.status === "lost" && html`<${Refused} />`}
      <${Plots} watch=${watch} />
    </main>
    ${note && html`<aside class="note" aria-label="Just now">${note}
      <button type="button" aria-label="Close" onClick=${() => tell("")}>×</button></aside>`}`;
}

/** The channel that the address names; names are letters, digits and few signs. */
const named = () => location.hash.slice(1).replace(/[^A-Za-z0-9._-]/g, "");

/** That channel, or the one with the most members. */
function settle() {
  if (named()) watch.choose(named());
  else if (!watch.chosen && watch.channels?.size) {
    const [first] = [...watch.channels.values()].sort((a, b) => b.members - a.members);
    watch.choose(first.channel);
  }
}

function draw() {
  isDue = false;
  drawn = performance.now();
  isNoteDrawn = true;
  settle();
  document.title = watch.chosen ? `${watch.chosen} · ranked broker` : "ranked broker";
  render(html`<${Page} />`, page);
}

addEventListener("hashchange", changed);
addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) toComposer(event);
});
page.textContent = "";
self.resume();
draw();
