// One box to write in: a message for everybody, or a command for those ranked
// below, and under it what came of the commands.
import { html, useRef, useState } from "./view.js";
import { Text } from "./stream.js";
import { clock, count, meant, visible } from "./words.js";

/** Commands that are shown. */
const SHOWN_MAX = 3;

/** The members ranked below the user. */
function below({ watch, self }) {
  const { rows } = watch.roster;
  const at = self.isIn(watch.chosen) ? rows.findIndex(({ member }) => member === self.name) : -1;
  return at < 0 ? [] : rows.slice(at + 1).map(({ member }) => member);
}

function state(result, isOver) {
  if (!result) return isOver ? ["left", "no result"] : ["waits", "waits…"];
  if (result.result === 0) return ["good", "done"];
  if (result.result === "timeout") return ["bad", "timeout"];
  if (result.result === "left") return ["bad", "left"];
  return ["bad", `failed (${result.result})`];
}

function Given({ command }) {
  const { seq, words, results, done, sent, isOver } = command;
  const all = [...results];
  const have = all.filter(([, result]) => result).length;
  return html`<li class="given">
    <p><b class="order"><bdi>/${visible(words.join(" "))}</bdi></b>
      <span class="faint">${done ? `${done.ok} of ${done.sent} with code 0` : `${have} of ${sent} results${isOver ? ", no more will come" : ""}`} · entry ${seq}</span></p>
    <progress max=${Math.max(sent, 1)} value=${done ? sent : have} aria-label=${`Results of ${words[0]}`}></progress>
    <ul class="results">
      ${all.slice(0, 50).map(([member, result]) => {
        const [kind, word] = state(result, done || isOver);
        return html`<li key=${member} class=${`result ${kind}`}><bdi class="name">${member}</bdi> <span class="outcome">${word}</span>${" "}
          ${result?.text && html`<bdi class="text">${visible(result.text.slice(0, 200))}</bdi>`}</li>`;
      })}
    </ul>
  </li>`;
}

function Received({ command, actions }) {
  const { from, name, args, answered } = command;
  return html`<li class="received">
    <p><bdi><b>${from}</b></bdi> commands you: <b class="order"><bdi>/${visible([name, ...args].join(" "))}</bdi></b></p>
    ${answered === null
      ? html`<p class="buttons"><button type="button" onClick=${() => actions.answer(command, 0, "done by hand")}>Done</button>
          <button type="button" onClick=${() => actions.answer(command, 1, "refused by hand")}>Refuse</button></p>`
      : html`<p class="faint">you answered: ${answered === 0 ? "done" : "refused"}</p>`}
  </li>`;
}

/** What others have said to the user alone, or to everybody: it stands nowhere else. */
function Told({ told, forget }) {
  return html`<section class="told" aria-label="Said to you">
    <div class="head"><h3>Said to you</h3><button type="button" class="more" onClick=${forget}>Clear</button></div>
    <ol tabindex="0" aria-label="Said to you, latest first">${told.map(({ id, at, from, what, text }) => html`<li key=${id}>
      <time class="faint" datetime=${new Date(at).toISOString()}>${clock(at)}</time>${" "}
      <bdi class="from">${from}</bdi> ${what && html`<span class="tag">${what}</span>`}${" "}<${Text} text=${text} /></li>`)}</ol>
  </section>`;
}

function Modes({ isCommand, setCommand, members }) {
  const mode = (value, text) => html`<label>
    <input type="radio" name="mode" checked=${isCommand === value} disabled=${value && !members.length}
      onChange=${() => setCommand(value)} /><span>${text}</span></label>`;
  return html`<fieldset class="modes"><legend class="unseen">What to send</legend>
    ${mode(false, "Message")}${mode(true, "Command")}</fieldset>`;
}

export function Composer({ watch, self, actions }) {
  const [text, setText] = useState("");
  const [to, setTo] = useState("");
  const box = useRef(null);
  const members = below({ watch, self });
  // As in the text dialect: what begins with / is a command. Nothing else decides it, so what
  // one sees in the box is what is sent.
  const line = meant(text);
  const isCommand = line.text === undefined;
  const isReady = isCommand ? line.words?.length > 0 && members.length > 0 : text !== "";
  const setCommand = (wanted) => setText(wanted && !text.startsWith("/") ? `/${text}` : text.slice(1));
  const send = async (event) => {
    event.preventDefault();
    if (!isReady) return;
    const recipient = members.includes(to) ? to : "";
    const sending = isCommand ? actions.command(recipient, line.words, members) : actions.publish(line.text);
    // At once, so that the next line can be written while this one is on its way.
    setText("");
    setTo("");
    box.current?.focus();
    if (await sending) return;
    setText((next) => next || text);
    setTo((next) => next || to);
  };
  const target = isCommand ? "Command to those ranked below you" : `Message to ${watch.chosen}`;
  const given = self.given.filter(({ channel }) => channel === watch.chosen).slice(0, SHOWN_MAX);
  const received = self.received.filter(({ channel }) => channel === watch.chosen).slice(0, SHOWN_MAX);
  return html`<div class="compose">
    ${received.length > 0 && html`<ul class="orders" aria-label="Commands to you" aria-live="polite">
      ${received.map((command) => html`<${Received} key=${command.id} command=${command} actions=${actions} />`)}</ul>`}
    ${self.told.length > 0 && html`<${Told} told=${self.told} forget=${actions.forget} />`}
    <form onSubmit=${send} class=${isCommand ? "commanding" : ""}>
      <${Modes} isCommand=${isCommand} setCommand=${setCommand} members=${members} />
      ${isCommand && members.length > 0 && html`<label class="to"><span class="unseen">To whom</span>
        <select value=${to} onChange=${(e) => setTo(e.target.value)}>
          <option value="">${members.length === 1 ? members[0] : `all ${members.length} below`}</option>
          ${members.length > 1 && members.slice(0, 200).map((member) => html`<option key=${member} value=${member}>${member}</option>`)}
        </select></label>`}
      <div class="box">
        <label class="unseen" for="composer">${target}</label>
        <input id="composer" ref=${box} value=${text} onInput=${({ target }) => setText(target.value)} autocomplete="off" autocapitalize="off"
          placeholder=${members.length ? "say something, or / to command" : "say something"}
          aria-invalid=${isCommand && line.words === null ? "true" : undefined} />
        <button type="submit" disabled=${!isReady}>Send</button>
      </div>
      ${isCommand && line.words === null && html`<p class="faint" role="alert">A quote is still open.</p>`}
      ${!self.ranks.has(watch.chosen) && html`<p class="faint">To command, join: your rank decides whom.</p>`}
      ${self.isIn(watch.chosen) && !members.length && html`<p class="faint">Nobody ranks below you: there is nobody to command.</p>`}
      ${isCommand && !members.length && html`<p class="faint" role="alert">To say something that begins with a slash, write two: //.</p>`}
    </form>
    ${given.length > 0 && html`<ul class="orders" aria-label=${`Your commands: ${count(given.length, "command")}`}>
      ${given.map((command) => html`<${Given} key=${command.id} command=${command} />`)}</ul>`}
  </div>`;
}
