// The first page: what this is, where to go, and, in the demonstration, keys to try it with.
import { useEffect, useState } from "preact/hooks";
import { html } from "../app/html.js";
import { signIn } from "../app/session.js";

export const title = "Start";

const CARDS = [
  ["/dashboard", "Dashboard", "Clicks by day and hour, the top, what rises and falls, live. Sign in with a key.", true],
  ["/playground", "Playground", "Every call and MCP tool as a form: send it, see the answer, take the code with you.", true],
  ["/api/v1/schema", "OpenAPI", "Every call with its parameters, limits and errors, for code generators and clients."],
  ["/mcp/integration.json", "MCP", "The address and configuration with which an assistant asks for clicks."],
  ["/llms.txt", "llms.txt", "The manual of the API, for language models."],
];

export function Page() {
  return html`
    <section class="intro">
      <h1>Every click, counted once</h1>
      <p>
        This server counts clicks on short links and affiliate links as they happen, and answers how many there were:
        by day for publishers, advertisers and networks, by hour for links, groups and accounts.
      </p>
    </section>
    <${DemoKeys} />
    <ul class="cards">
      ${CARDS.map(
        ([to, name, text, page = null]) =>
          html`<li><a href=${to} data-page=${page}><strong>${name}</strong><span>${text}</span></a></li>`,
      )}
    </ul>
  `;
}

function DemoKeys() {
  const [keys, setKeys] = useState({});
  const [error, setError] = useState(null);
  useEffect(() => {
    fetch("/demo-keys").then((response) => response.json()).then(setKeys, () => {});
  }, []);
  const open = async (key) => {
    try {
      await signIn(key);
    } catch (failure) {
      setError(failure.message);
    }
  };
  if (!Object.keys(keys).length) return null;
  return html`
    <section class="panel" aria-labelledby="demo">
      <h2 id="demo">Demonstration</h2>
      <p>Simulated clicks arrive every second. These keys see them:</p>
      <ul class="keys">
        ${Object.entries(keys).map(
          ([role, key]) => html`
            <li>
              <span>${role}</span> <code>${key}</code>
              <button onClick=${() => open(key)}>Sign in as ${role}</button>
            </li>
          `,
        )}
      </ul>
      ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    </section>
  `;
}
