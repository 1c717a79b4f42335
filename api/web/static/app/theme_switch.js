// The theme: that of the system, light, or dark. The choice is kept on this device; `theme.js` applies it at the next load.
import { signal } from "@preact/signals";

const ORDER = ["system", "light", "dark"];

export const theme = signal(document.documentElement.dataset.theme ?? "system");

export function nextTheme() {
  const next = ORDER[(ORDER.indexOf(theme.value) + 1) % ORDER.length];
  theme.value = next;
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
}
