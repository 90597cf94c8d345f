import { CallError, type HostEvent, type Platform } from "../platform";

const stored = "fleetseal-session";

/** The one-time secret of the address bar's fragment, kept for this tab alone. */
const secret = (): string => {
  const found = /^#s=([\w-]+)/.exec(location.hash);
  if (found?.[1]) {
    sessionStorage.setItem(stored, found[1]);
    history.replaceState(null, "", `${location.pathname}#/`);
  }
  return sessionStorage.getItem(stored) ?? "";
};

/** Talks to `fleetseal desk --browser` on this computer. */
export function loopback(): Platform {
  const key = secret();
  const post = (path: string, body: unknown, signal?: AbortSignal) =>
    fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify(body),
      signal,
    });

  return {
    name: "loopback",
    async call(name, request) {
      let answer: globalThis.Response;
      try {
        answer = await post("/rpc", { name, request });
      } catch {
        throw new CallError("host_gone", "the host does not answer", "start `fleetseal desk --browser` again");
      }
      const body = await answer.json().catch(() => undefined);
      if (!answer.ok) throw new CallError(body?.code ?? `http_${answer.status}`, body?.message ?? answer.statusText, body?.hint);
      return body;
    },
    events(listener) {
      const stop = new AbortController();
      void follow(() => post("/events", {}, stop.signal), listener, stop.signal);
      return () => stop.abort();
    },
    async openVault(request) {
      window.open(`vault.html${request ? `?request=${encodeURIComponent(request)}` : ""}`, "fleetseal-vault", "popup,width=560,height=720");
    },
    async pickFile() {
      return undefined;
    },
  };
}

/** Reads one JSON event a line, and comes back after a break. */
async function follow(open: () => Promise<globalThis.Response>, listener: (event: HostEvent) => void, signal: AbortSignal) {
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 10_000)) {
    try {
      const reader = (await open()).body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; reader; ) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) if (line.trim()) listener(JSON.parse(line));
        pause = 500;
      }
    } catch {
      if (signal.aborted) return;
    }
    listener({ kind: "connection", state: "offline" });
    await new Promise((resume) => setTimeout(resume, pause));
  }
}
