// A button that copies a text, also where the page has no secure origin and the browser so no clipboard for it.
import { useState } from "preact/hooks";
import { html } from "./html.js";

const SHOWN_MS = 1500;

export function CopyButton({ text, label }) {
  const [said, setSaid] = useState(null);
  const onClick = async () => {
    setSaid((await copy(text)) ? "Copied" : "Not copied");
    setTimeout(() => setSaid(null), SHOWN_MS);
  };
  return html`<button class="quiet copy" onClick=${onClick} aria-live="polite">${said ?? label}</button>`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

function copySelected(text) {
  const field = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
