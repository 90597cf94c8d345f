import type { HostEvent } from "@/generated/HostEvent";
import { fan } from "../fan";
import { CallError, type Name, type Request, type Response } from "../platform";

/** One of the bridge's two origins: its session, its commands, its events. */
export interface Bridge {
  call<N extends Name>(name: N, request: Request<N>): Promise<Response<N>>;
  events(listener: (batch: HostEvent[]) => void): () => void;
  /** Hands a file over; it comes back as a path for a command. */
  put(file: File): Promise<string>;
  /** A place where a command may write, and where the page finds it then. */
  place(name: string): Promise<{ path: string; url: string }>;
  /** What a command wrote there. */
  get(url: string): Promise<Blob>;
}

const stored = "fleetseal-bearer";
const gone = () => new CallError("host_gone", "The program behind this page does not answer.", "Start `fleetseal desk --browser` again.");

/** The one-time secret of the address's fragment, taken out of it at once. */
function secret(): string | undefined {
  const found = /^#secret=([^&]+)/.exec(location.hash)?.[1];
  if (found) history.replaceState(null, "", `${location.pathname}${location.search}#/`);
  return found;
}

/** Talks to `fleetseal desk --browser` on this computer. */
export function bridge(): Bridge {
  const once = secret();
  const session = (async () => {
    if (!once) return sessionStorage.getItem(stored) ?? "";
    const answer = await fetch("/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ secret: once }),
    });
    const { bearer } = (await answer.json()) as { bearer?: string };
    sessionStorage.setItem(stored, bearer ?? "");
    return bearer ?? "";
  })();
  const send = async (method: string, path: string, body?: BodyInit, type = "application/json") => {
    const headers: Record<string, string> = { authorization: `Bearer ${await session}` };
    if (body !== undefined) headers["content-type"] = type;
    return fetch(path, { method, headers, body });
  };
  const answer = async (sent: Promise<globalThis.Response>) => {
    const got = await sent.catch(() => {
      throw gone();
    });
    const body = await got.json().catch(() => undefined);
    if (!got.ok) throw new CallError(body?.code ?? `http_${got.status}`, body?.message ?? got.statusText, body?.hint);
    return body;
  };
  return {
    call: (name, request) => answer(send("POST", `/rpc/${name}`, JSON.stringify(request))),
    events: fan((tell) => void follow(() => send("GET", "/events"), tell)),
    put: async (file) => (await answer(send("PUT", `/files/${encodeURIComponent(file.name)}`, file, "application/octet-stream"))).path,
    place: (name) => answer(send("POST", `/files/${encodeURIComponent(name)}`)),
    get: async (url) => (await send("GET", url)).blob(),
  };
}

/** Reads one batch a line, and comes back after a break. */
async function follow(open: () => Promise<globalThis.Response>, listener: (batch: HostEvent[]) => void) {
  for (let pause = 500; ; pause = Math.min(pause * 2, 10_000)) {
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
      // A break is said below, and mended by the next turn.
    }
    listener([
      {
        event: "connection",
        state: "offline",
        server_offset: 0,
        since: new Date().toISOString(),
        error: { code: "unreachable" as never, message: gone().message },
      },
    ]);
    await new Promise((resume) => setTimeout(resume, pause));
  }
}
