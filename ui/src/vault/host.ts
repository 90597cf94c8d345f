import { fake } from "@/platform/fake";
import { bridge } from "@/platform/loopback";
import { CallError, type Name, type Request, type Response } from "@/platform/platform";

/** The vault window's own way to its host: the same commands, without any third-party code. */
export type Call = <N extends Name>(name: N, request: Request<N>) => Promise<Response<N>>;

interface Internals {
  invoke(command: string, args: Record<string, unknown>): Promise<unknown>;
}

export function host(): Call {
  const internals = window.__TAURI_INTERNALS__ as Internals | undefined;
  if (internals)
    return async (name, request) => {
      try {
        return (await internals.invoke("vault_rpc", { name, request })) as never;
      } catch (refusal) {
        const said = (typeof refusal === "object" && refusal ? refusal : { message: String(refusal) }) as {
          code?: string;
          message?: string;
          hint?: string;
        };
        throw new CallError(said.code ?? "internal", said.message ?? "the host refused", said.hint);
      }
    };
  if (import.meta.env.VITE_FAKE === "1") return fake(new URLSearchParams(location.search).get("fake") ?? "full").call;
  return bridge().call;
}
