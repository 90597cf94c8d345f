import type { Commands } from "@/generated/commands";
import type { HostEvent } from "@/generated/HostEvent";
import type { Needs } from "./needs";

/** Everything a screen can ask: the generated table, and what is still only needed. The table wins. */
export type Table = Commands & Omit<Needs, keyof Commands>;
export type Name = keyof Table;
export type Request<N extends Name> = Table[N]["request"];
export type Response<N extends Name> = Table[N]["response"];

/** A command that was turned down. `code` is closed; `hint` says what to do. */
export class CallError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** The one way from the screens to their host. */
export interface Platform {
  readonly name: "tauri" | "loopback" | "fake";
  call<N extends Name>(name: N, request: Request<N>): Promise<Response<N>>;
  /** Listens until the returned function is called. */
  events(listener: (batch: HostEvent[]) => void): () => void;
  /** Brings the vault window up: what waits for consent stands there. None where that is a page with an address of its own. */
  openVault?(): Promise<void>;
  /** Lets a person choose a file to read, or a place to write; none if they closed the dialog or the host has no dialogs. */
  pickFile(save?: string): Promise<string | undefined>;
  /** Hands a file over that a command wrote where `pickFile` said; none where it lies where the person put it. */
  handOver?(file: string): Promise<void>;
}
