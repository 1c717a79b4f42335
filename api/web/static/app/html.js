// Preact's elements from tagged templates: html`<p class=${name}>${text}</p>`. Text is never read as HTML.
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
