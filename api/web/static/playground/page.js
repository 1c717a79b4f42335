// The playground: every call in a list, the one chosen as a form, and beside it its code and what came back.
import { useEffect, useRef, useState } from "preact/hooks";
import { html } from "../app/html.js";
import { path } from "../app/router.js";
import { signedIn } from "../app/session.js";
import { SignIn } from "../app/sign_in.js";
import { PATH, chooseFirst, chosen } from "./address.js";
import { Answer } from "./answer.js";
import { CallForm } from "./call_form.js";
import { CallList } from "./call_list.js";
import { loadCalls } from "./catalog.js";
import { requestOf } from "./http_request.js";
import { Integration } from "./integration.js";
import { Samples } from "./samples.js";
import { send } from "./send.js";

export const title = "Playground";
const NONE = []; // until they are loaded: what is around them has its place from the start

export function Page() {
  const { calls, failure, load } = useCalls();
  const wanted = chosen.value;
  useEffect(() => {
    if (calls && wanted === null && path.value === PATH) chooseFirst(calls[0]);
  }, [calls, wanted]);
  useEffect(() => {
    const lost = document.activeElement === document.body; // with the form that took the key
    if (signedIn.value && lost) document.getElementById("call-title")?.focus();
  }, [signedIn.value]);
  const call = calls?.find(({ id }) => id === wanted);
  const { answer, busy, start, stop } = useSending(wanted);
  const coming = answer?.done === false;
  const request = call && requestOf(call);
  const place = useRef(null);
  const onSend = () => {
    start(request);
    place.current.scrollIntoView({ block: "nearest" }); // on a phone it is far below the button
  };
  return html`
    <div class="playground">
      <${Integration} calls=${calls ?? NONE} />
      <${CallList} calls=${calls ?? NONE} current=${call} />
      <div class="middle">
        ${!signedIn.value && html`<${SignIn} />`}
        ${failure && html`<p class="notice bad" role="alert">${failure} <button onClick=${load}>Try again</button></p>`}
        ${!calls && !failure && html`<p class="hint" role="status">Loading the calls …</p>`}
        ${calls && wanted !== null && !call && html`<${Unknown} wanted=${wanted} />`}
        ${call && html`<${CallForm} key=${wanted} call=${call} busy=${busy} onSend=${onSend} onStop=${stop} />`}
      </div>
      ${call &&
      html`
        <div class="right">
          <${Samples} request=${request} />
          <section class="panel answer" ref=${place} aria-labelledby="answer-title" aria-busy=${busy && !coming}>
            <h2 id="answer-title">Answer</h2>
            <${Answer} key=${answer?.sent} answer=${answer} call=${call} />
          </section>
        </div>
      `}
    </div>
  `;
}

const Unknown = ({ wanted }) =>
  html`<p class="notice bad" role="alert">There is no call <code>${wanted}</code>. Choose one of the list.</p>`;

function useCalls() {
  const [calls, setCalls] = useState(null);
  const [failure, setFailure] = useState(null);
  const load = () => {
    setFailure(null);
    loadCalls().then(setCalls, ({ message }) => setFailure(message));
  };
  useEffect(load, []);
  return { calls, failure, load };
}

/** Sends one request at a time. The last answer stays until the next one comes, and goes with its call. */
function useSending(call) {
  const [answer, setAnswer] = useState(null);
  const [busy, setBusy] = useState(false);
  const running = useRef(null);
  const stop = () => running.current?.abort();
  const start = async (request) => {
    stop();
    const abort = new AbortController();
    running.current = abort;
    const sent = performance.now();
    const report = (next) => running.current === abort && setAnswer({ ...next, sent });
    setBusy(true);
    await send(request, abort.signal, report);
    if (running.current === abort) setBusy(false);
  };
  useEffect(
    () => () => {
      stop();
      running.current = null;
      setAnswer(null);
      setBusy(false);
    },
    [call],
  );
  return { answer, busy, start, stop };
}
