// Text of the OpenAPI document, where back quotes mark code.
import { html } from "./html.js";

export const Prose = ({ text }) =>
  text.split("`").map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));
