/** So long a rate is said after the last byte that was heard of. */
const stale = 10_000;

/** How fast each of many things grows, from what was heard of it at two times. */
export class Rates {
  private readonly heard = new Map<string, { bytes: number; at: number; rate?: number }>();

  /** The bytes of one at a time in milliseconds; its rate in bytes a second, none where nothing moves. */
  observe(id: string, bytes: number, at: number): number | undefined {
    const before = this.heard.get(id);
    if (!before || bytes < before.bytes) {
      this.heard.set(id, { bytes, at });
      return undefined;
    }
    if (bytes > before.bytes && at > before.at) this.heard.set(id, { bytes, at, rate: ((bytes - before.bytes) / (at - before.at)) * 1000 });
    const now = this.heard.get(id);
    return now && at - now.at <= stale ? now.rate : undefined;
  }
}
