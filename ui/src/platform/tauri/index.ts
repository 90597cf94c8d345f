import { Channel, invoke } from "@tauri-apps/api/core";
import type { HostEvent } from "@/generated/HostEvent";
import { fan } from "../fan";
import { CallError, type Platform } from "../platform";
import { views } from "../views";

interface Refusal {
  code?: string;
  message?: string;
  hint?: string;
}

/** Talks to the desktop shell: one command over the table, one channel of events. */
export function tauri(): Platform {
  const ask = async <T>(command: string, args: Record<string, unknown>): Promise<T> => {
    try {
      return await invoke<T>(command, args);
    } catch (refusal) {
      const said = (typeof refusal === "object" && refusal ? refusal : { message: String(refusal) }) as Refusal;
      throw new CallError(said.code ?? "internal", said.message ?? "the host refused", said.hint);
    }
  };
  const events = fan((tell) => {
    const channel = new Channel<HostEvent[]>();
    channel.onmessage = tell;
    void ask("subscribe", { channel });
  });
  return {
    name: "tauri",
    call: views((name, request) => ask("rpc", { name, request }), events),
    events,
    openVault: () => ask("open_vault", {}),
    pickFile: async (save) =>
      save
        ? ((await ask<string | null>("save_file", { name: save })) ?? undefined)
        : (await ask<string[]>("pick_files", { extensions: [], several: false }))[0],
  };
}
