// Applies the theme that was chosen on this device before anything is drawn. Without a choice the system decides.
try {
  const theme = localStorage.getItem("theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // No storage, no choice.
}
