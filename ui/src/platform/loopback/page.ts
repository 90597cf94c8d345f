import type { Platform } from "../platform";
import { views } from "../views";
import { bridge } from "./index";

/** The screens over the bridge. A browser shows no host's dialogs: files are dropped, or written to a place and fetched. */
export function loopback(): Platform {
  const host = bridge();
  return {
    name: "loopback",
    call: views(host.call, host.events),
    events: host.events,
    async openVault() {
      // The vault stands on a port of its own, whose address only its owner was told.
    },
    pickFile: (save) => (save ? host.place(save) : choose(host.put)),
  };
}

const choose = (put: (file: File) => Promise<string>): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    const input = document.createElement("input");
    input.type = "file";
    input.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file) put(file).then(resolve, reject);
      else resolve(undefined);
    });
    input.addEventListener("cancel", () => resolve(undefined));
    input.click();
  });
