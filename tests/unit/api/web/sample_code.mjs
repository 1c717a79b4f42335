// Prints the programs for the requests that come as JSON: node sample_code.mjs ORIGIN REQUESTS
import { languages, sampleOf } from "../../../../api/web/static/playground/sample_code.js";

const [origin, requests] = process.argv.slice(2);
const programs = JSON.parse(requests).map((request) =>
  Object.fromEntries(languages.map((language) => [language, sampleOf(language, origin, request)])),
);
console.log(JSON.stringify(programs));
