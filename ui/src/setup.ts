import { cleanup, configure } from "@testing-library/react";
import { afterEach } from "vitest";

class Watch {
  observe() {}
  unobserve() {}
  disconnect() {}
}
globalThis.ResizeObserver = Watch as typeof ResizeObserver;
window.matchMedia = ((query: string) => ({
  matches: false,
  media: query,
  addEventListener() {},
  removeEventListener() {},
  addListener() {},
  removeListener() {},
  dispatchEvent: () => false,
  onchange: null,
})) as typeof matchMedia;
Element.prototype.scrollTo = () => undefined;
HTMLCanvasElement.prototype.getContext = undefined as never;

configure({ asyncUtilTimeout: 15_000 });

afterEach(() => {
  cleanup();
  localStorage.clear();
});
