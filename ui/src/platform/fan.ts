import type { HostEvent } from "@/generated/HostEvent";

type Listener = (batch: HostEvent[]) => void;

/** One stream of events for any number of listeners; who comes late first hears how things stand. */
export function fan(start: (tell: Listener) => void): (listener: Listener) => () => void {
  const listeners = new Set<Listener>();
  const standing = new Map<string, HostEvent>();
  let started = false;
  return (listener) => {
    listeners.add(listener);
    if (standing.size > 0) listener([...standing.values()]);
    if (!started) {
      started = true;
      start((batch) => {
        for (const event of batch) if (event.event !== "changed" && event.event !== "job") standing.set(event.event, event);
        for (const one of listeners) one(batch);
      });
    }
    return () => listeners.delete(listener);
  };
}
