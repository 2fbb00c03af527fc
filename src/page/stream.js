// The entries of a channel as they come, the latest at the bottom.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./view.js";
import { told } from "./roster.js";
import { SHOWN, SHOWN_MAX, count, payload, short, visible, whole } from "./words.js";

/** So near to the end counts as being there, in pixels. */
const NEAR = 24;

/** A text as it is, of which a long one is shown in part at first. */
export function Text({ text }) {
  const [isOpen, setOpen] = useState(false);
  const most = isOpen ? SHOWN_MAX : SHOWN;
  const shown = visible(text.slice(0, most));
  const more = text.length - most;
  return html`<bdi class="text">${shown}${more > 0 ? "…" : ""}</bdi>
    ${more > 0 && html` <button type="button" class="more" disabled=${isOpen} onClick=${() => setOpen(true)}>
      ${isOpen ? `${whole(more)} more characters` : `show more of ${whole(text.length)} characters`}</button>`}`;
}

function Message({ entry }) {
  const { from, data } = entry;
  const kind = typeof data === "string" ? "" : "json";
  return html`<bdi class="from">${from}</bdi> <span class=${`said ${kind}`}><${Text} text=${payload(data)} /></span>`;
}

function Command({ entry }) {
  const { from, from_rank: rank, name, args } = entry;
  return html`<bdi class="from">${from}</bdi> <span class="tag">rank ${rank} commands</span>${" "}
    <span class="said order"><${Text} text=${["/" + name, ...args].join(" ")} /></span>`;
}

function Change({ entry, change }) {
  const [what, meant] = told(change ?? { entry, top: null, isNewTop: false, rose: 0 });
  return html`<bdi class="from">${entry.member}</bdi> <span class="said">${what}${meant ? ` · ${meant}` : ""}</span>`;
}

function Gap({ entry: { from, to } }) {
  return html`<span class="said">${from === to ? `entry ${from} is` : `entries ${from} to ${to} are`} gone: the channel does not keep that much</span>`;
}

const KINDS = { gap: Gap, msg: Message, cmd: Command, join: Change, left: Change, move: Change };

function Entry({ entry, change }) {
  const Kind = KINDS[entry.frame];
  if (!Kind) return null;
  return html`<li class=${`entry ${entry.frame}`}>
    <span class="seq" aria-label=${`number ${entry.seq}`}>${entry.seq}</span>
    <span class="body"><${Kind} entry=${entry} change=${change} /></span>
  </li>`;
}

export function Stream({ watch }) {
  const { entries, mode, chosen, roster } = watch;
  const list = useRef(null);
  const isAtEnd = useRef(true);
  const [behind, setBehind] = useState(null);
  const last = entries.at(-1)?.seq ?? 0;
  const keepEnd = () => {
    if (isAtEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  };
  useLayoutEffect(keepEnd, [last]);
  // What is below may grow, and leave less room.
  useEffect(() => {
    const sizes = new ResizeObserver(keepEnd);
    sizes.observe(list.current);
    return () => sizes.disconnect();
  }, []);
  const onScroll = ({ target }) => {
    isAtEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR;
    setBehind(isAtEnd.current ? null : behind ?? last);
  };
  const toEnd = () => {
    list.current.scrollTop = list.current.scrollHeight;
    list.current.focus();
  };
  const changes = new Map(roster.changes.map((change) => [change.entry.seq, change]));
  const rate = watch.channels?.get(chosen)?.rate ?? 0;
  return html`<div class="head"><h2>Entries</h2>
      <p class="faint">${mode === "sampled"
        ? html`<span class="tag warn">too fast to read</span> a few of ${short(rate)}/s`
        : `${short(rate)}/s`}</p>
    </div>
    <div class="stream" data-mode=${mode}>
      <ol ref=${list} tabindex="0" aria-label="Entries, latest last" onScroll=${onScroll}>
        ${entries.map((entry) => html`<${Entry} key=${entry.seq} entry=${entry} change=${changes.get(entry.seq)} />`)}
      </ol>
      ${behind !== null && html`<button type="button" class="latest" onClick=${toEnd}>
        ${last > behind ? `${count(last - behind, "new entry", "new entries")} ↓` : "to the latest ↓"}</button>`}
      ${!entries.length && html`<p class="empty">Nothing has been said yet.</p>`}
    </div>`;
}
