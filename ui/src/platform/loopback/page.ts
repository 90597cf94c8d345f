import type { Platform } from "../platform";
import { views } from "../views";
import { bridge } from "./index";

/** The screens over the bridge. A browser shows no host's dialogs and reaches no other window, for the vault has an origin of its own: files are dropped, or written to a place and fetched. */
export function loopback(): Platform {
  const host = bridge();
  const places = new Map<string, string>();
  return {
    name: "loopback",
    call: views(host.call, host.events),
    events: host.events,
    async pickFile(save) {
      if (!save) return choose(host.put);
      const { path, url } = await host.place(save);
      places.set(path, url);
      return path;
    },
    async handOver(file) {
      const url = places.get(file);
      if (url) download(await host.get(url), url.slice(url.lastIndexOf("/") + 1));
    },
  };
}

/** Lets the browser keep it; the bridge's own folder goes with the program. */
function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = decodeURIComponent(name);
  link.click();
  URL.revokeObjectURL(link.href);
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
