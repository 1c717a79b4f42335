// All calls by group, with a search over their names and titles.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { addressFromHere } from "./address.js";
import { Method } from "./call_form.js";
import { Examples } from "./examples.js";

export function CallList({ calls, current }) {
  const [wanted, setWanted] = useState("");
  const [open, setOpen] = useState(false);
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const found = calls.filter(({ path, title, id, group }) => {
    const text = `${path} ${title} ${id} ${group}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return html`
    <nav class="calls" aria-label="Calls">
      <button class="toggle" aria-expanded=${open} onClick=${() => setOpen(!open)}>
        ${open ? "Hide" : "Show"} all calls and examples
      </button>
      <div class="inside" data-open=${open} onClick=${(event) => event.target.closest("a, button") && setOpen(false)}>
        <${Examples} calls=${calls} />
        <div>
          <input
            type="search"
            aria-label="Search calls"
            placeholder="Search calls"
            value=${wanted}
            onInput=${(event) => setWanted(event.target.value)}
          />
          <div role="status">${words.length > 0 && !found.length && html`<p class="hint">No call has this in its name.</p>`}</div>
        </div>
        ${byGroup(found).map(([group, members]) => html`<${Group} name=${group} calls=${members} current=${current} />`)}
      </div>
    </nav>
  `;
}

const Group = ({ name, calls, current }) => html`
  <section>
    <h2>${name}</h2>
    <ul>
      ${calls.map(
        (call) => html`
          <li>
            <a href=${addressFromHere(call)} data-page aria-current=${call === current ? "true" : null}>
              <span>${call.title}</span>
              <small><${Method} method=${call.method} /> ${call.path}</small>
            </a>
          </li>
        `,
      )}
    </ul>
  </section>
`;

function byGroup(calls) {
  const groups = new Map();
  for (const call of calls) groups.set(call.group, [...(groups.get(call.group) ?? []), call]);
  return [...groups];
}
