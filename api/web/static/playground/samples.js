// The call as a program, in the language of choice.
import { signal } from "@preact/signals";
import { CopyButton } from "../app/copy_button.js";
import { html } from "../app/html.js";
import { languages, sampleOf } from "./sample_code.js";

export const language = signal(languages[0]);

export function Samples({ request }) {
  const code = sampleOf(language.value, location.origin, request);
  return html`
    <section class="panel samples" aria-labelledby="sample-title">
      <div class="row">
        <h2 id="sample-title">Code</h2>
        <div class="row languages" role="group" aria-label="Language">
          ${languages.map(
            (name) => html`
              <button class="quiet" aria-pressed=${name === language.value} onClick=${() => (language.value = name)}>
                ${name}
              </button>
            `,
          )}
        </div>
        <span class="grow"></span>
        <${CopyButton} text=${code} label="Copy code" />
      </div>
      <pre tabindex="0" role="region" aria-label="Program">${code}</pre>
      ${request.scheme && html`<p class="hint">The key is read from the variable <code>CLICKMILL_KEY</code>.</p>`}
    </section>
  `;
}
