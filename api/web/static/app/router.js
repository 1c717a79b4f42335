// The address of the page: its path, and its parameters, which hold all that a view needs to be shown again.
import { signal } from "@preact/signals";

const read = () => ({ path: location.pathname, parameters: new URLSearchParams(location.search) });

const start = read();
export const path = signal(start.path);
export const parameters = signal(start.parameters);

function update() {
  const now = read();
  path.value = now.path;
  parameters.value = now.parameters;
}

/** Goes to an address of this site; `replace` leaves no entry in the history. */
export function navigate(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  update();
}

/** Changes parameters of the current address; null removes one. */
export function setParameters(changes, options) {
  const next = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") next.delete(name);
    else next.set(name, value);
  }
  const query = next.toString();
  navigate(`${location.pathname}${query && `?${query}`}`, options);
}

/** Follows plain clicks on links marked `data-page` without loading the document again. */
export function followLinks() {
  addEventListener("popstate", update);
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-page]");
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(link.getAttribute("href"));
    scrollTo(0, 0);
  });
}
