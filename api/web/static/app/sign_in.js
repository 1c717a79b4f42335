// The form that takes a key. The key goes into this tab's memory and nowhere else, so no password manager is offered it.
import { useId, useState } from "preact/hooks";
import { html } from "./html.js";
import { ended, signIn } from "./session.js";

export function SignIn({ children }) {
  const field = useId();
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(key.trim());
    } catch (failure) {
      setError(failure.message);
      setBusy(false);
    }
  };
  const reason = error ?? ended.value;
  return html`
    <form class="panel sign-in" onSubmit=${submit}>
      ${children}
      <label for=${field}>API key</label>
      <div class="row">
        <input
          id=${field}
          value=${key}
          onInput=${(event) => setKey(event.target.value)}
          autocomplete="off"
          autocapitalize="off"
          spellcheck=${false}
          maxlength="512"
          required
        />
        <button class="primary" disabled=${busy}>Sign in</button>
      </div>
      ${reason && html`<p class="notice bad" role="alert">${reason}</p>`}
      <p class="hint">It stays in the memory of this tab and is gone when you close it or load the page again.</p>
    </form>
  `;
}
