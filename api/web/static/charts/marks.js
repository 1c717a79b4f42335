// What charts share: their width, the mark that is looked at, and the keys that go from mark to mark.
import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** A ref for the element around a chart, and its width in pixels, 0 before it is known. */
export function useWidth() {
  const around = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(around.current.clientWidth));
    const observer = new ResizeObserver(measure);
    observer.observe(around.current);
    measure();
    return () => observer.disconnect();
  }, []);
  return [around, width];
}

/**
 * Properties of the marks of a chart. One mark is in the order of tabs; arrows, Home and End go to the others.
 * `across` is the number of marks in a row, by default all.
 */
export function useMarks(total, across = total) {
  const [at, setAt] = useState(null);
  const current = Math.min(at ?? total - 1, total - 1);
  const move = (event, to) => {
    event.preventDefault();
    event.stopPropagation(); // arrows would also change the range of the page
    const marks = event.currentTarget.ownerSVGElement.querySelectorAll("[data-mark]");
    marks[Math.max(0, Math.min(total - 1, to))]?.focus();
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across };
  const properties = (number) => ({
    "data-mark": number,
    tabindex: number === current ? 0 : -1,
    onFocus: () => setAt(number),
    onMouseEnter: () => setAt(number),
    onKeyDown: (event) => {
      if (event.key in steps) move(event, number + steps[event.key]);
      else if (event.key === "Home") move(event, 0);
      else if (event.key === "End") move(event, total - 1);
    },
  });
  return [at === null ? null : current, properties];
}

/** Enter and a click, for marks that lead on. */
export const leadsOn = (go) => ({
  role: "button",
  onClick: go,
  onKeyPress: (event) => event.key === "Enter" && go(),
});

/** About four round numbers from 0 to at least `most`. */
export function ticks(most) {
  const rough = Math.max(most, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough));
  return Array.from({ length: Math.ceil(Math.max(most, 1) / step) + 1 }, (_, number) => number * step);
}
