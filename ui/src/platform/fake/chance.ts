/** A small repeatable generator (mulberry32): the same fleet every time. */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
export const id = (prefix: string, random: () => number): string =>
  `${prefix}_01KB${Array.from({ length: 22 }, () => crockford[Math.floor(random() * 32)]).join("")}`;
export const hex = (bytes: number, random: () => number): string =>
  Array.from({ length: bytes * 2 }, () => Math.floor(random() * 16).toString(16)).join("");
