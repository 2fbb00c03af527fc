// What the parts of the page are written with: elements in templates, each value
// in them a text and nothing else.
import { h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { render };
export { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";

export const html = htm.bind(h);

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Moves something, unless the user wants it still. */
export function animate(element, frames, options) {
  return still.matches ? null : element.animate(frames, options);
}

/** Tells those who listen instead of looking. */
export function announce(text) {
  document.getElementById("news").textContent = text;
}
