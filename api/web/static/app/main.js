// Starts the pages: one document, whose parts change without loading it again. So a key stays in this tab's memory.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Header } from "./header.js";
import { html } from "./html.js";
import { followLinks, path } from "./router.js";

const PAGES = {
  "/": () => import("../home/page.js"),
  "/dashboard": () => import("../dashboard/page.js"),
  "/playground": () => import("../playground/page.js"),
};

function App() {
  const [page, setPage] = useState({});
  const wanted = path.value;
  useEffect(() => {
    if (!PAGES[wanted]) {
      location.reload(); // not one of these pages: the server answers
      return;
    }
    PAGES[wanted]().then(
      ({ Page, title }) => {
        document.title = `${title} · Clickmill`;
        setPage({ Page });
      },
      () => setPage({ failed: true }),
    );
  }, [wanted]);
  return html`
    <a class="skip" href="#main">Skip to content</a>
    <${Header} />
    <main id="main" tabindex="-1">
      ${page.Page && html`<${page.Page} />`}
      ${page.failed && html`<p class="notice bad" role="alert">This page could not be loaded. <a href="">Load again</a></p>`}
    </main>
  `;
}

followLinks();
render(html`<${App} />`, document.getElementById("app"));
