import { useEffect, useState } from "react";
import { create } from "zustand";

/** How far the backend's clock is ahead of this computer's, in milliseconds. Countdowns run on the backend's. */
export const useOffset = create<{ offset: number }>(() => ({ offset: 0 }));

/** Takes the backend's time as just heard. */
export const heard = (serverTime: string): void => useOffset.setState({ offset: Date.parse(serverTime) - Date.now() });

export const serverNow = (): number => Date.now() + useOffset.getState().offset;

/** The backend's time in milliseconds, again every `every` milliseconds. */
export function useNow(every = 1000): number {
  const offset = useOffset((state) => state.offset);
  const [now, set] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now + offset;
}
