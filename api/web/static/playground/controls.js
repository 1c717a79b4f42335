// The control of a parameter: what its schema allows is what can be entered.
import { useId } from "preact/hooks";
import { html } from "../app/html.js";
import { setValue, value } from "./address.js";
import { Prose } from "../app/prose.js";

export function Parameter({ parameter }) {
  const { name, required, schema, description } = parameter;
  const id = useId();
  const described = { "aria-describedby": description || limits(schema) ? `${id}-about` : null };
  const Control = controlOf(schema);
  return html`
    <div class="parameter">
      <label for=${id}><code>${name}</code>${required && html`<span class="required"> required</span>`}</label>
      <${Control} ...${{ id, name, required, schema, ...described }} />
      <p class="hint" id="${id}-about"><${Prose} text=${description} /> ${limits(schema)}</p>
    </div>
  `;
}

function controlOf({ type, enum: choices, format }) {
  if (type === "boolean") return Choice;
  if (choices) return choices.length === 1 ? Switch : Choice;
  if (type === "integer" || type === "number") return NumberField;
  if (type === "object" || type === "array") return JsonField;
  return format === "date" ? DateField : TextField;
}

const bind = (name) => ({ value: value(name), onInput: (event) => setValue(name, event.target.value) });

function Choice({ schema, name, required, ...rest }) {
  const choices = schema.enum ?? [true, false];
  const none = schema.default === undefined ? "–" : `${schema.default} (default)`;
  return html`
    <select ...${rest} ...${bind(name)} required=${required}>
      <option value="">${none}</option>
      ${choices.map((choice) => html`<option value=${String(choice)}>${String(choice)}</option>`)}
    </select>
  `;
}

/** A parameter that has one value or is left out. */
function Switch({ schema, name, required: _, ...rest }) {
  const [on] = schema.enum;
  const change = (event) => setValue(name, event.target.checked ? on : null);
  return html`<input type="checkbox" ...${rest} checked=${value(name) === String(on)} onChange=${change} />`;
}

function NumberField({ schema, name, ...rest }) {
  const step = schema.type === "integer" ? 1 : "any";
  return html`
    <input
      type="number"
      ...${rest}
      ...${bind(name)}
      step=${step}
      min=${schema.minimum}
      max=${bound(schema.maximum)}
      placeholder=${placeholder(schema)}
    />
  `;
}

function TextField({ schema, name, ...rest }) {
  return html`
    <input
      type="text"
      ...${rest}
      ...${bind(name)}
      minlength=${schema.minLength}
      maxlength=${schema.maxLength}
      pattern=${schema.pattern}
      placeholder=${placeholder(schema)}
      autocomplete="off"
      autocapitalize="off"
      spellcheck=${false}
    />
  `;
}

const DateField = ({ schema: _, name, ...rest }) => html`<input type="date" ...${rest} ...${bind(name)} />`;

const JsonField = ({ schema: _, name, ...rest }) =>
  html`<textarea rows="3" ...${rest} ...${bind(name)} placeholder="JSON" spellcheck=${false}></textarea>`;

const placeholder = ({ default: none, examples }) =>
  none !== undefined ? `${none} (default)` : examples ? `such as ${examples[0]}` : null;

/** A bound that numbers hold exactly; the largest id is beyond them. */
const bound = (limit) => (Number.isSafeInteger(limit) ? limit : null);

function limits({ type, minimum, maximum, maxLength }) {
  if (type !== "integer" && type !== "number") return maxLength ? `At most ${maxLength.toLocaleString()} characters.` : "";
  if (bound(maximum) === null) return "";
  return `${(minimum ?? 0).toLocaleString()} to ${maximum.toLocaleString()}.`;
}
