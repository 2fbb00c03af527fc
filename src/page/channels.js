// The channels, the busy ones first, each with its rate.
import { html, useState } from "./view.js";
import { count, short } from "./words.js";

/** Channels that are shown; the others can be searched for. */
const SHOWN_MAX = 100;
/** So many and there is a box to search. */
const MANY = 12;
/** Half a minute of rates, as a line of this size. */
const [WIDTH, HEIGHT] = [56, 18];

function Spark({ rates }) {
  const most = Math.max(...rates, 1);
  const step = WIDTH / Math.max(rates.length - 1, 1);
  const points = rates.map((rate, at) => `${(at * step).toFixed(1)},${(HEIGHT - 1 - (rate / most) * (HEIGHT - 2)).toFixed(1)}`);
  return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} width=${WIDTH} height=${HEIGHT} aria-hidden="true">
    <polyline points=${points.join(" ")} /></svg>`;
}

function Row({ channel, isChosen, choose }) {
  const { channel: name, members, rate, rates, durable } = channel;
  return html`<li>
    <button type="button" class="pick" aria-current=${isChosen ? "true" : undefined} onClick=${() => choose(name)}>
      <bdi class="name" title=${name}>${name}</bdi>
      <${Spark} rates=${rates} />
      <span class="figures">
        <span>${count(members, "member")}${durable ? " · durable" : ""}</span>
        <span class="rate">${short(rate)}/s</span>
      </span>
    </button></li>`;
}

/** Up and down go from one channel to the next. */
function onArrow(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step || event.target.tagName !== "BUTTON") return;
  const all = [...event.currentTarget.querySelectorAll(".pick")];
  const next = all[all.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function Create({ actions }) {
  const [name, setName] = useState("");
  const create = async (event) => {
    event.preventDefault();
    if (!name.trim()) return;
    const creating = actions.create(name.trim());
    setName("");
    if (!(await creating)) setName((next) => next || name);
  };
  return html`<form class="create" onSubmit=${create}>
    <label class="unseen" for="create">Name of a new channel</label>
    <input id="create" value=${name} onInput=${(e) => setName(e.target.value)} placeholder="new channel" autocomplete="off"
      autocapitalize="off" spellcheck=${false} maxlength="128" />
    <button type="submit" disabled=${!name.trim()}>Create</button>
  </form>`;
}

export function Channels({ watch, actions }) {
  const [wanted, setWanted] = useState("");
  const all = watch.channels ? [...watch.channels.values()] : [];
  const found = all.filter(({ channel }) => channel.toLowerCase().includes(wanted.toLowerCase()));
  const shown = found.slice(0, SHOWN_MAX);
  return html`<nav class="sheet channels" aria-label="Channels">
    <h2>Channels</h2>
    ${all.length > MANY && html`<label class="search"><span class="unseen">Search for a channel</span>
      <input type="search" value=${wanted} onInput=${(e) => setWanted(e.target.value)} placeholder="search" /></label>`}
    <ul onKeyDown=${onArrow}>
      ${shown.map((channel) => html`<${Row} key=${channel.channel} channel=${channel}
        isChosen=${channel.channel === watch.chosen} choose=${actions.choose} />`)}
    </ul>
    ${found.length > shown.length && html`<p class="faint">and ${count(found.length - shown.length, "other")}</p>`}
    ${watch.channels && !all.length && html`<p class="empty">There is no channel yet. Make one, and see who comes.</p>`}
    <${Create} actions=${actions} />
  </nav>`;
}
