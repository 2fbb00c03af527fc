// Numbers, times and texts as people read them, and lines as a shell does.

/** Characters that act on the text around them, or that nobody sees. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
/** How much of a payload is shown at first, and at most, in characters. */
export const SHOWN = 400;
export const SHOWN_MAX = 20_000;

/** A text in which what cannot be seen is written out. */
export function visible(text) {
  return text.replace(UNSEEN, (one) => {
    const code = one.charCodeAt(0);
    return { 9: "\\t", 10: "\\n", 13: "\\r" }[code] ?? `\\u{${code.toString(16)}}`;
  });
}

/**
 * What stands in a JSON text. A number that would be another one afterwards (2^63, say) stays as
 * it was written, where the browser can do that; only what a payload is in is worth the work.
 */
export function parse(text) {
  const hasPayload = text.startsWith('{"frame":"msg"') || text.startsWith('{"reply":"history"');
  return hasPayload && JSON.rawJSON ? JSON.parse(text, exact) : JSON.parse(text);
}

const exact = (_, value, { source }) =>
  (typeof value === "number" && String(value) !== source ? JSON.rawJSON(source) : value);

/** A payload as text: one that is a text is itself, any other is JSON. */
export function payload(data) {
  return typeof data === "string" ? data : JSON.stringify(data);
}

const WHOLE = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A whole number with its thousands apart. */
export const whole = (number) => WHOLE.format(number);

/** A number in few characters. */
export function short(number) {
  return Math.abs(number) < 10 && number % 1 ? number.toFixed(1) : SHORT.format(Math.round(number));
}

/** Bytes in few characters. */
export function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const at = number < 1 ? 0 : Math.min(Math.floor(Math.log2(number) / 10), units.length - 1);
  const shown = number / 1024 ** at;
  return `${at && shown < 100 ? shown.toFixed(1) : Math.round(shown)} ${units[at]}`;
}

/** A time span in few characters, a short one with so many digits; from milliseconds. */
export function span(ms, digits = 1) {
  const secs = Math.max(ms / 1000, 0);
  if (secs < 9.95) return `${secs.toFixed(digits)} s`;
  if (secs < 90) return `${Math.round(secs)} s`;
  if (secs < 5_400) return `${Math.round(secs / 60)} min`;
  if (secs < 129_600) return `${Math.round(secs / 3600)} h`;
  return `${Math.round(secs / 86_400)} d`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day. */
export const clock = (ms) => CLOCK.format(ms);

/** So many things, by name. */
export const count = (number, one, many = `${one}s`) => `${whole(number)} ${number === 1 ? one : many}`;

/**
 * What a line in the box is: after one slash the `words` of a command (`null` if a quote is open),
 * or a `text`. A text that begins with a slash is written with two.
 */
export function meant(line) {
  if (!line.startsWith("/")) return { text: line };
  return line.startsWith("//") ? { text: line.slice(1) } : { words: split(line.slice(1)) };
}

/**
 * The words of a line, as a shell finds them: quotes keep blanks together, a
 * backslash takes the next character as it is. `null` if a quote is open.
 */
export function split(line) {
  const words = [];
  let word = null;
  let quote = "";
  for (let at = 0; at < line.length; at += 1) {
    const one = line[at];
    if (quote === "'" && one !== "'") word += one;
    else if (one === "\\" && (quote === "" || `"\\$\``.includes(line[at + 1]))) {
      if (at + 1 === line.length) return null;
      word = (word ?? "") + line[(at += 1)];
    } else if (quote && one === quote) quote = "";
    else if (!quote && (one === "'" || one === '"')) {
      quote = one;
      word ??= "";
    } else if (!quote && /\s/.test(one)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + one;
  }
  if (quote) return null;
  if (word !== null) words.push(word);
  return words;
}
