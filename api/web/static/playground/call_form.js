// The call in the middle: what it does, its parameters, its body, and the button that sends it.
import { useRef } from "preact/hooks";
import { html } from "../app/html.js";
import { describe } from "../app/header.js";
import { principal } from "../app/session.js";
import { body, format, setBody, setFormat, setValues } from "./address.js";
import { Parameter } from "./controls.js";
import { presets } from "./dates.js";
import { Prose } from "../app/prose.js";

export function CallForm({ call, busy, onSend, onStop }) {
  const dialog = useRef(null);
  const submit = (event) => {
    event.preventDefault();
    if (call.changes) dialog.current.showModal();
    else onSend();
  };
  const sendByKey = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
  };
  const [optional, own] = [call.parameters.filter(isHeader), call.parameters.filter((each) => !isHeader(each))];
  return html`
    <form class="call" onSubmit=${submit} onKeyDown=${sendByKey} aria-labelledby="call-title">
      <h1 id="call-title" tabindex="-1">${call.title}</h1>
      <p class="endpoint"><${Method} method=${call.method} /> <code>${call.path}</code></p>
      ${call.description && html`<p class="about"><${Prose} text=${call.description} /></p>`}
      <${KeyNote} call=${call} />
      <${Presets} call=${call} />
      <div class="parameters">${own.map((each) => html`<${Parameter} key=${each.name} parameter=${each} />`)}</div>
      <${Format} call=${call} />
      ${optional.length > 0 &&
      html`
        <details>
          <summary>Headers</summary>
          ${optional.map((each) => html`<${Parameter} parameter=${each} />`)}
        </details>
      `}
      ${call.body !== null && html`<${BodyEditor} call=${call} />`}
      <div class="row send">
        <button class="primary" disabled=${busy}>Send</button>
        <button type="button" disabled=${!busy} onClick=${onStop}>Stop</button>
      </div>
      <${Answers} answers=${call.answers} />
    </form>
    <${Confirmation} dialog=${dialog} call=${call} onSend=${onSend} />
  `;
}

const isHeader = (parameter) => parameter.in === "header";

export const Method = ({ method }) => html`<span class="method ${method.toLowerCase()}">${method}</span>`;

/** Which key the call takes, where that is not the one signed in with. */
function KeyNote({ call: { scheme, roles } }) {
  const who = principal.value;
  if (!scheme) return html`<p class="hint">This call needs no key.</p>`;
  if (!who) return html`<p class="hint">It needs ${roles ? `a key of ${anyOf(roles)}` : "a key"}: sign in to send it.</p>`;
  if (!roles || roles.includes(who.role)) return html`<p class="hint">Sent with your key: ${describe(who)}.</p>`;
  return html`<p class="hint warn">It takes a key of ${anyOf(roles)}; yours is of ${withArticle(who.role)}.</p>`;
}

export const withArticle = (role) => `${/^[aio]/.test(role) ? "an" : "a"} ${role}`;
export const anyOf = (roles) => roles.map(withArticle).join(" or ");

function Presets({ call }) {
  const found = presets(call);
  if (!found.length) return null;
  return html`
    <div class="row presets" role="group" aria-label="Days">
      ${found.map(([label, values]) => html`<button type="button" onClick=${() => setValues(values)}>${label}</button>`)}
    </div>
  `;
}

function Format({ call }) {
  if (call.formats.length < 2) return null;
  return html`
    <div class="parameter">
      <label for="format">Format</label>
      <select id="format" value=${format(call)} onInput=${(event) => setFormat(event.target.value)}>
        ${call.formats.map((type) => html`<option value=${type}>${type}</option>`)}
      </select>
      <p class="hint">The <code>Accept</code> header.</p>
    </div>
  `;
}

function BodyEditor({ call }) {
  const text = body(call);
  const fault = faultOf(text);
  const refuse = (field) => field?.setCustomValidity(fault ?? "");
  const change = (event) => setBody(call, event.target.value);
  return html`
    <div class="parameter">
      <label for="body">Body <span class="required">JSON</span></label>
      <textarea id="body" rows="10" ref=${refuse} value=${text} onInput=${change} spellcheck=${false}></textarea>
      <p class=${fault ? "hint bad" : "hint"} role="status">${fault ?? "It begins with an example."}</p>
    </div>
  `;
}

function faultOf(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `Not JSON: ${error.message}`;
  }
}

const Answers = ({ answers }) =>
  answers.length > 0 &&
  html`
    <details class="answers">
      <summary>Statuses</summary>
      <table>
        <tbody>
          ${answers.map(
            ({ status, description }) =>
              html`<tr><th scope="row">${status}</th><td><${Prose} text=${description ?? ""} /></td></tr>`,
          )}
        </tbody>
      </table>
    </details>
  `;

function Confirmation({ dialog, call, onSend }) {
  const close = () => dialog.current.close();
  const confirm = () => {
    close();
    onSend();
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="confirm-title">
      <h2 id="confirm-title">${call.title}?</h2>
      <p>${call.method} <code>${call.path}</code> changes what is stored on this server.</p>
      <div class="row">
        <button class="primary" onClick=${confirm}>Send it</button>
        <button onClick=${close}>Cancel</button>
      </div>
    </dialog>
  `;
}
