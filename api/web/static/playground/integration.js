// From a sentence to a call: fills the form with what the server understood, and says what it did not.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { requestJson } from "../app/session.js";
import { addressFromHere, choose } from "./address.js";
import { day } from "./dates.js";

const MAX_NEED = 500;

export function Integration({ calls }) {
  const [need, setNeed] = useState("");
  const [busy, setBusy] = useState(false);
  const [found, setFound] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFound(await ask(need, calls));
    setBusy(false);
  };
  return html`
    <form class="panel integration" onSubmit=${submit}>
      <label for="need">Say what you need</label>
      <div class="row">
        <input
          id="need"
          value=${need}
          onInput=${(event) => setNeed(event.target.value)}
          maxlength=${MAX_NEED}
          placeholder="clicks of publisher 1338 in March as CSV"
          autocomplete="off"
          required
        />
        <button disabled=${busy || !calls.length}>Find the call</button>
      </div>
      <div role="status">${found && html`<${Found} ...${found} />`}</div>
    </form>
  `;
}

/** Opens the call that was understood. Gives what to tell of it. */
async function ask(need, calls) {
  const byId = (id) => calls.find((call) => call.id === id);
  try {
    const query = new URLSearchParams({ need, today: day() });
    const { understood, unclear, request, alternatives } = await requestJson(`/api/v1/integration?${query}`);
    const call = byId(understood.call);
    if (call) choose(call, understood.parameters, request.headers.Accept);
    return { call, understood, unclear, others: alternatives.map((each) => byId(each.call)).filter(Boolean) };
  } catch ({ message }) {
    return { failure: message };
  }
}

function Found({ call, understood, unclear, others, failure }) {
  if (failure) return html`<p class="notice bad">${failure}</p>`;
  const values = Object.entries(understood.parameters);
  return html`
    ${call &&
    html`<p>
      <strong>${call.title}</strong>
      ${values.map(([name, text]) => html` <code>${name}=${text}</code>`)}
      ${understood.format !== "json" && html` as ${understood.format.toUpperCase()}`}
    </p>`}
    ${unclear.length > 0 && html`<ul class="unclear">${unclear.map((text) => html`<li>${text}</li>`)}</ul>`}
    ${others.length > 0 &&
    html`<p class="hint">
      ${call ? "Or: " : "The nearest: "}
      ${others.map(
        (other, index) => html`${index > 0 && " · "}<a href=${addressFromHere(other)} data-page>${other.title}</a>`,
      )}
    </p>`}
  `;
}
