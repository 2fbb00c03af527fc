// A channel's roster as a ladder: a rung for each member, the highest rank on
// top. Who rises moves up before one's eyes, and who leaves goes out at the side.
import { animate, html, useEffect, useLayoutEffect, useRef, useState } from "./view.js";
import { count, short, span, whole } from "./words.js";

/** Rungs that are shown: below them nobody looks. */
const RUNGS_MAX = 100;
/** What is further behind than this is worth a word, in entries. */
const BEHIND_MIN = 100;
/** Those below wait a moment, so that one sees whose place it is that they take. */
const MOVE = { duration: 560, delay: 240, fill: "backwards", easing: "cubic-bezier(.22, .8, .24, 1)" };
const LEAVE = { duration: 420, easing: "cubic-bezier(.5, 0, .8, .6)", fill: "forwards" };
const COME = { duration: 420, easing: "ease-out" };

function Rung({ row, rank, isSelf, now }) {
  const { member, term, away, since, behind } = row;
  const state = [rank === 0 && "top", away && "away", isSelf && "self"].filter(Boolean).join(" ");
  return html`<li class=${`rung ${state}`} data-member=${member}>
    <span class="rank" aria-label=${`rank ${rank}`}>${rank}</span>
    <span class="who">
      <bdi class="name" title=${member}>${member}</bdi>
      ${isSelf && html`<span class="tag">you</span>`}
      ${rank === 0 && html`<span class="tag">${away ? "holds command" : "in command"}</span>`}
      ${away && html`<span class="tag warn">away</span>`}
      ${behind > BEHIND_MIN && html`<span class="tag warn">${short(behind)} behind</span>`}
    </span>
    <span class="facts">
      <span>term <b>${term === null ? "?" : whole(term)}</b></span>
      <span class="since">${since ? `${away ? "came" : "here for"} ${span(now - since, 0)}${away ? " ago" : ""}` : "just came"}</span>
    </span>
  </li>`;
}

/** Lets the ladder grow and shrink no faster than its rungs move. */
function resize(list, last) {
  const height = list.offsetHeight;
  if (last.current && last.current !== height) {
    const heights = [last.current, height].map((px) => ({ height: `calc(${px}px + 2 * var(--rim))` }));
    animate(list.parentElement, heights, MOVE);
  }
  last.current = height;
}

/** Moves what has another place than at the last look, and sees off what is gone. */
function move(list, places) {
  const rungs = new Map([...list.querySelectorAll(":scope > .rung")].map((rung) => [rung.dataset.member, rung]));
  const isFirst = places.size === 0;
  for (const [member, { rung, top }] of places) {
    if (rungs.has(member)) continue;
    places.delete(member);
    const leaver = rung.cloneNode(true);
    for (const tag of leaver.querySelectorAll(".tag")) tag.remove();
    leaver.classList.add("leaver");
    leaver.setAttribute("aria-hidden", "true");
    leaver.style.top = `${top}px`;
    const gone = animate(leaver, [{}, { transform: "translateX(40%)", opacity: 0 }], LEAVE);
    if (!gone) continue;
    list.parentElement.append(leaver);
    gone.onfinish = () => leaver.remove();
  }
  for (const [member, rung] of rungs) {
    const top = rung.offsetTop;
    const last = places.get(member);
    const rose = last ? last.top - top : 0;
    if (rose) {
      animate(rung, [{ transform: `translateY(${rose}px)` }, { transform: "none" }], MOVE);
      const tint = rose > 0 ? "var(--rise)" : "var(--fall)";
      animate(rung.querySelector(".rank"), [{ boxShadow: `0 0 0 .3rem ${tint}` }, { boxShadow: "0 0 0 .3rem transparent" }], { duration: 1_800 });
    } else if (!last && !isFirst) {
      animate(rung, [{ opacity: 0, transform: "translateY(.8rem)" }, { opacity: 1, transform: "none" }], COME);
    }
    places.set(member, { rung, top });
  }
}

function Rungs({ rows, self, channel }) {
  const list = useRef(null);
  const places = useRef(new Map());
  const height = useRef(0);
  const of = useRef(channel);
  // Chromium 156 forgets that a rung looks otherwise now if it is moved the newer way.
  useLayoutEffect(() => { list.current.moveBefore = undefined; }, []);
  useLayoutEffect(() => {
    if (of.current !== channel) {
      of.current = channel;
      places.current.clear();
      height.current = 0;
    }
    resize(list.current, height);
    move(list.current, places.current);
  });
  const now = Date.now();
  const shown = rows.slice(0, RUNGS_MAX);
  const isIn = self.isIn(channel);
  return html`<div class="ladder">
    <ol ref=${list} start="0" aria-label="Roster, highest rank first">
      ${shown.map((row, rank) => html`<${Rung} key=${row.member} row=${since(row)} rank=${rank} now=${now}
        isSelf=${isIn && row.member === self.name} />`)}
    </ol>
    ${rows.length > shown.length && html`<p class="faint">and ${count(rows.length - shown.length, "member")} below</p>`}
  </div>`;
}

const since = (row) => ({ ...row, since: row.since && Date.parse(row.since) });

function Join({ self, actions }) {
  const [name, setName] = useState("");
  const join = (event) => {
    event.preventDefault();
    actions.join(self.name || name.trim());
  };
  const box = html`<label class="unseen" for="name">Your name</label>
    <input id="name" value=${name} onInput=${(e) => setName(e.target.value)} placeholder="your name" autocomplete="nickname"
      autocapitalize="off" spellcheck=${false} maxlength="128" />`;
  return html`<form class="enter" onSubmit=${join}>
    <span class="faint">You observe.</span>
    ${self.name ? "" : box}
    <button type="submit">Join${self.name ? ` as ${self.name}` : ""}</button>
  </form>`;
}

function Standing({ self, channel, actions }) {
  const { rank, term } = self.ranks.get(channel);
  return html`<div class="enter">
    <span>You are <b><bdi>${self.name}</bdi></b>, rank <b>${rank}</b>, term ${whole(term)}.</span>
    <button type="button" onClick=${actions.stepDown}>Step down</button>
    <button type="button" onClick=${actions.leave}>Leave</button>
  </div>`;
}

/** It is a member, and without a connection: there is nothing to do but wait. */
function Returning({ self }) {
  return html`<div class="enter"><span class="faint">Coming back as <b><bdi>${self.name}</bdi></b>…</span></div>`;
}

export function Ladder({ watch, self, actions }) {
  const { chosen, roster, missing, channels } = watch;
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1_000);
    return () => clearInterval(timer);
  }, []);
  const { rows } = roster;
  const summary = channels?.get(chosen);
  return html`<div class="head">
      <h2><bdi>${chosen}</bdi></h2>
      <p class="faint">${!missing && `${count(rows.length, "member")} · view ${whole(roster.view)} · ${whole(Math.max(summary?.seq ?? 0, roster.view))} entries${summary?.durable ? " · durable" : ""}`}</p>
    </div>
    ${self.isIn(chosen)
      ? html`<${Standing} self=${self} channel=${chosen} actions=${actions} />`
      : self.ranks.has(chosen)
        ? html`<${Returning} self=${self} />`
        : html`<${Join} self=${self} actions=${actions} />`}
    ${missing && html`<p class="empty">There is no channel of this name. It is made when you join it.</p>`}
    ${!missing && !rows.length && html`<p class="empty">Nobody is here. Who joins first is in command.</p>`}
    <${Rungs} rows=${rows} self=${self} channel=${chosen} />`;
}
