// A chart as a picture: its SVG, drawn on a canvas with the colours of the page, under its title and over its legend.
import { plain } from "./format.js";
import { save } from "./save.js";

const SCALE = 2; // for dense screens
const MARGIN = 16;
const TITLE = 28;
const LINE = 20;
const PAINT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "text-anchor"];

export async function savePng(name, svg, title, legend) {
  const canvas = await draw(svg, title, legend);
  save(`${name}.png`, await new Promise((done) => canvas.toBlob(done, "image/png")));
}

async function draw(svg, title, legend) {
  const { width, height } = svg.getBoundingClientRect();
  const style = getComputedStyle(svg);
  const colour = (name) => getComputedStyle(svg.querySelector(name) ?? svg).fill;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const entries = placed(context, legend, width, style.fontFamily);
  const below = entries.length ? entries.at(-1).line + 1 : 0;
  canvas.width = (width + 2 * MARGIN) * SCALE;
  canvas.height = (height + TITLE + below * LINE + 2 * MARGIN) * SCALE;
  context.scale(SCALE, SCALE);
  context.fillStyle = getComputedStyle(svg.closest("figure")).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = style.color;
  context.font = `600 14px ${style.fontFamily}`;
  context.fillText(plain(title, 120), MARGIN, MARGIN + 14, width);
  context.drawImage(await picture(svg, width, height), MARGIN, MARGIN + TITLE, width, height);
  context.font = `12px ${style.fontFamily}`;
  for (const { text, mark, x, line } of entries) {
    const y = MARGIN + TITLE + height + line * LINE + 14;
    context.fillStyle = colour(mark);
    context.fillRect(MARGIN + x, y - 9, 10, 10);
    context.fillStyle = style.color;
    context.fillText(text, MARGIN + x + 15, y);
  }
  return canvas;
}

/** Entries of the legend with their places, line by line. */
function placed(context, legend, width, family) {
  context.font = `12px ${family}`;
  let x = 0;
  let line = 0;
  return legend.map(({ name, mark }) => {
    const text = plain(name, 40);
    const needed = context.measureText(text).width + 32;
    if (x && x + needed > width) {
      x = 0;
      line += 1;
    }
    const entry = { text, mark: `.${mark}`, x, line };
    x += needed;
    return entry;
  });
}

/** The SVG as an image. Its style sheets stay behind, so the styles of each part become attributes. */
async function picture(svg, width, height) {
  const copy = svg.cloneNode(true);
  const parts = [svg, ...svg.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((part, at) => {
    const style = getComputedStyle(parts[at]);
    for (const name of PAINT) part.setAttribute(name, style.getPropertyValue(name));
    part.removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const text = new XMLSerializer().serializeToString(copy);
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(address);
  }
  return image;
}
