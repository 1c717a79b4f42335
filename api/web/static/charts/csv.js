// Tables as CSV (RFC 4180) for spreadsheets, with the same rules as the API's.
import { save } from "./save.js";

// Spreadsheets run a cell that begins with one of these as a formula; a leading apostrophe makes it text. One that is
// set to another separator also begins a cell after a semicolon, tab, bar or line break inside our quotes.
const FORMULA = /^(?=[\t\r\n])|(^|[;|\t\r\n])([ "]*)(?=[=+\-@＝＋－＠])/g;

export function toCsv(columns, rows) {
  const lines = [columns.map(({ name }) => name), ...rows.map((row) => columns.map(({ of }) => of(row)))];
  return lines.map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

export const saveCsv = (name, columns, rows) =>
  save(`${name}.csv`, new Blob([toCsv(columns, rows)], { type: "text/csv;charset=utf-8" }));

function field(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  return `"${String(value).replace(FORMULA, (_, before = "", blank = "") => `${before}${blank}'`).replaceAll('"', '""')}"`;
}
