// Who held rank 0, from when to when, with its vacancies; and every change of
// the roster, in words.
import { html } from "./view.js";
import { told } from "./roster.js";
import { clock, span } from "./words.js";

/** How far the line goes back, at least and at most, in milliseconds. */
const LINE_MS_MIN = 10_000;
const LINE_MS_MAX = 900_000;
/** Changes that are listed. */
const CHANGES_SHOWN = 40;

/** What a reign is called. */
const title = ({ member, away }) => (member === null ? "vacant" : away ? `${member}, away` : member);

function Reign({ reign, from, to, now }) {
  const { member, away } = reign;
  const begin = Math.max(reign.from, from);
  const end = reign.to ?? now;
  const part = (ms) => `${((100 * ms) / (to - from)).toFixed(3)}%`;
  const kind = member === null || away ? "vacant" : reign.to === null ? "current" : "past";
  const words = `${title(reign)}${reign.term ? `, term ${reign.term}` : ""}, for ${span(end - reign.from)}`;
  return html`<span class=${`reign ${kind}`} title=${words} style=${{ left: part(begin - from), width: part(end - begin) }}>
    <bdi>${title(reign)}</bdi></span>`;
}

function Line({ roster }) {
  const now = Date.now();
  const reigns = roster.reigns;
  const first = reigns[0]?.from ?? now;
  const length = Math.min(Math.max(now - first, LINE_MS_MIN), LINE_MS_MAX);
  const from = now - length;
  const shown = reigns.filter(({ to }) => to === null || to > from);
  const vacant = shown.filter(({ member, away }) => member === null || away);
  const vacantMs = vacant.reduce((sum, { from: begin, to }) => sum + (to ?? now) - Math.max(begin, from), 0);
  const holders = shown.length - vacant.length;
  const words = `Rank 0 over ${span(now - Math.max(first, from))}: ${shown.map(title).join(", then ")}`;
  const summary = [
    holders > 0 && (holders === 1 ? "one holder" : `${holders} reigns`),
    vacant.length ? `vacant for ${span(vacantMs)}` : "never vacant",
  ].filter(Boolean).join(", ");
  return html`<div class="head"><h3>Rank 0</h3><p class="faint">${reigns.length > 0 && summary}</p></div>
    <div class="line">
      <div class="reigns" role="img" aria-label=${words}>
        ${shown.map((reign) => html`<${Reign} key=${reign.from} reign=${reign} from=${from} to=${now} now=${now} />`)}
      </div>
      <p class="scale" aria-hidden="true"><span>${span(length)} ago</span><span>now</span></p>
    </div>`;
}

const SIGNS = { join: "+", left: "−", up: "↑", down: "↓" };

function Change({ change }) {
  const { entry, at, isNewTop } = change;
  const [what, meant] = told(change);
  const kind = entry.frame === "move" ? (entry.new < entry.old ? "up" : "down") : entry.frame;
  return html`<li class=${`change ${kind}${isNewTop ? " crown" : ""}`}>
    <span class="sign" aria-hidden="true">${SIGNS[kind]}</span>
    <span class="what"><bdi><b>${entry.member}</b></bdi> ${what}${meant && html`<span class="meant">${meant}</span>`}</span>
    <span class="when">${at ? html`<time datetime=${new Date(at).toISOString()}>${clock(at)}</time>` : "earlier"}</span>
  </li>`;
}

export function Reigns({ roster }) {
  const shown = roster.changes.slice(-CHANGES_SHOWN).reverse();
  return html`<${Line} roster=${roster} />
    <h3>Who rose, who fell</h3>
    ${shown.length
      ? html`<ol class="changes" tabindex="0" aria-label="Changes of the roster, latest first">
          ${shown.map((change) => html`<${Change} key=${change.entry.seq} change=${change} />`)}
        </ol>`
      : html`<p class="empty">Nobody has come or gone, as far back as the channel remembers.</p>`}`;
}
