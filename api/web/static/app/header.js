// The bar above every page: where to go, the theme, and who is signed in.
import { html } from "./html.js";
import { path } from "./router.js";
import { principal, signOut } from "./session.js";
import { nextTheme, theme } from "./theme_switch.js";

const LINKS = [
  ["/", "Start"],
  ["/dashboard", "Dashboard"],
  ["/playground", "Playground"],
];

export function Header() {
  const who = principal.value;
  return html`
    <header class="bar">
      <a class="brand" href="/" data-page>Clickmill</a>
      <nav aria-label="Pages">
        ${LINKS.map(
          ([to, name]) => html`<a href=${to} data-page aria-current=${path.value === to ? "page" : null}>${name}</a>`,
        )}
      </nav>
      <span class="grow"></span>
      ${who && html`<span class="who" title=${`key ${who.id}`}>${describe(who)}</span>`}
      ${who && html`<button class="quiet" onClick=${() => signOut()}>Sign out</button>`}
      <button class="quiet" onClick=${nextTheme} title="Theme: system, light or dark">
        ${{ system: "◐ System", light: "☀ Light", dark: "☾ Dark" }[theme.value]}
      </button>
    </header>
  `;
}

/** The role of a key and what it sees, such as `publisher 45`. */
export function describe({ role, publisher_id: publisher, account_id: account }) {
  return [role, publisher ?? account].filter((part) => part !== null && part !== undefined).join(" ");
}
