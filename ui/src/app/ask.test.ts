import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { gather } from "./ask";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("shows a fleet that changes faster than it is listed, and asks once more for what changed meanwhile", async () => {
  const client = new QueryClient();
  let asked = 0;
  const list = new QueryObserver(client, {
    queryKey: ["device.list"],
    queryFn: async () => {
      asked++;
      await new Promise((listed) => setTimeout(listed, 2500));
      return asked;
    },
  });
  const stop = list.subscribe(() => undefined);
  const again = gather(client);
  for (let quarter = 0; quarter < 12; quarter++) {
    again(["device."]);
    await vi.advanceTimersByTimeAsync(250);
  }
  expect(list.getCurrentResult().data).toBe(1);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toBe(2);
  stop();
});
