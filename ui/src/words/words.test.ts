import { expect, it } from "vitest";
import { en } from "./en";
import { languages } from "./index";

const holes = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}|<\/?b>/g)].map((hole) => hole[0]).sort();

it("says everything in every language, with the same holes", () => {
  for (const [name, table] of Object.entries(languages)) {
    expect(Object.keys(table).sort(), name).toEqual(Object.keys(en).sort());
    for (const key of Object.keys(en) as (keyof typeof en)[]) {
      expect(table[key], `${name} ${key}`).not.toBe("");
      expect(holes(table[key]), `${name} ${key}`).toEqual(holes(en[key]));
    }
  }
});

it("keeps to the copy rules: no exclamation, no please, no successfully", () => {
  for (const text of Object.values(en)) expect(text).not.toMatch(/!|please|successfully/i);
});
