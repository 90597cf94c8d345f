import { Channel, invoke } from "@tauri-apps/api/core";
import { CallError, type HostEvent, type Platform } from "../platform";

interface Refusal {
  code?: string;
  message?: string;
  hint?: string;
}

/** Talks to the desktop shell: one command, one channel. */
export function tauri(): Platform {
  const ask = async <T>(command: string, args: Record<string, unknown>): Promise<T> => {
    try {
      return await invoke<T>(command, args);
    } catch (refusal) {
      const said = (typeof refusal === "object" && refusal ? refusal : { message: String(refusal) }) as Refusal;
      throw new CallError(said.code ?? "internal", said.message ?? "the host refused", said.hint);
    }
  };
  return {
    name: "tauri",
    call: (name, request) => ask("rpc", { name, request }),
    events(listener) {
      const channel = new Channel<HostEvent>();
      let open = true;
      channel.onmessage = (event) => open && listener(event);
      void ask("events", { channel });
      return () => {
        open = false;
      };
    },
    openVault: (request) => ask("open_vault", { request: request ?? null }),
    pickFile: async (save) => (await ask<string | null>("pick_file", { save: save ?? null })) ?? undefined,
  };
}
