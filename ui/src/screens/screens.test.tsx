import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { queries } from "@/app/ask";
import { makeRouter } from "@/app/routes";
import { CallError, type Platform, replacePlatform } from "@/platform";
import { fake } from "@/platform/fake";
import { resolver, theme } from "@/theme/theme";
import "@/words";

const open = async (path: string, scene = "full", change: Partial<Platform> = {}) => {
  queries.clear();
  const platform = { ...fake(scene), ...change };
  replacePlatform(platform);
  location.hash = `#${path}`;
  const router = makeRouter();
  render(
    <MantineProvider theme={theme} cssVariablesResolver={resolver} env="test">
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return { platform, user: userEvent.setup() };
};

beforeEach(() => vi.stubGlobal("scrollTo", () => undefined));
afterEach(() => vi.unstubAllGlobals());

it("leads from every number of the overview to its list", async () => {
  const { user } = await open("/");
  await user.click(await screen.findByRole("link", { name: /Attention 1/ }));
  await screen.findByRole("button", { name: /Cloned ?1/, pressed: true });
  expect(location.hash).toContain("state=cloned");
});

it("says why a fleet is empty, and what to do", async () => {
  await open("/", "empty");
  expect(await screen.findByText("No device has enrolled yet.")).toBeTruthy();
  expect(await screen.findByText("No rollout is open.")).toBeTruthy();
});

it("moves through a grid by keyboard and selects a row", async () => {
  const { user } = await open("/devices");
  const grid = await screen.findByRole("grid", { name: "Devices" });
  await waitFor(() => expect(within(grid).getAllByText(/^GW8-/).length).toBeGreaterThan(4));
  // It goes on: how far is not known before it was looked at.
  expect(grid.getAttribute("aria-rowcount")).toBe("-1");
  const rows = () => within(grid).getAllByRole("row");
  rows()[1]?.focus();
  await user.keyboard("jj ");
  const chosen = rows().find((row) => row.getAttribute("aria-selected") === "true");
  expect(chosen?.getAttribute("aria-rowindex")).toBe("4");
  expect(document.activeElement).toBe(chosen);
  expect(screen.getByText("1 selected")).toBeTruthy();
});

it("offers to clear a filter that nothing matches", async () => {
  const { user } = await open("/devices?q=ZZZ");
  await user.click(await screen.findByRole("button", { name: "Clear filter" }));
  expect(await screen.findByRole("grid", { name: "Devices" })).toBeTruthy();
});

it("shows a refusal with its code where the rows would be, and asks again on retry", async () => {
  let refused = true;
  const full = fake("full");
  const call: Platform["call"] = (name, request) => {
    if (name === "release.list" && refused) return Promise.reject(new CallError("busy", "The backend is busy.", "Wait."));
    return full.call(name, request);
  };
  const { user } = await open("/releases", "full", { call });
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("busy");
  refused = false;
  await user.click(within(alert).getByRole("button", { name: "Retry" }));
  expect(await screen.findByRole("grid", { name: "Releases" })).toBeTruthy();
});

it("keeps Pause in its place, and turns it into Resume", async () => {
  const { user } = await open("/rollouts");
  await user.click(await screen.findByRole("link", { name: "hx220 2.4.1" }));
  await user.click(await screen.findByRole("button", { name: "Pause" }));
  expect(await screen.findByRole("button", { name: "Resume" })).toBeTruthy();
});

it("previews an abort in counts; the safe choice has the focus, and nothing happens before the commit", async () => {
  const full = fake("full");
  const seen: string[] = [];
  const { user } = await open("/rollouts", "full", {
    call: (name, request) => {
      seen.push(name);
      return full.call(name, request);
    },
  });
  await user.click(await screen.findByRole("link", { name: "hx220 2.4.1" }));
  await user.click(await screen.findByRole("button", { name: "Abort…" }));
  const dialog = await screen.findByRole("dialog", { name: "Abort hx220 2.4.1" });
  expect(await within(dialog).findByText("3,629")).toBeTruthy();
  expect(seen).toContain("rollout.abort_preview");
  expect(seen).not.toContain("rollout.abort");
  await user.click(within(dialog).getByRole("button", { name: "Abort hx220 2.4.1" }));
  await waitFor(() => expect(seen).toContain("rollout.abort"));
});

it("leaves a control that a role may not use, disabled, and says who may", async () => {
  await open("/rollouts", "auditor");
  const plan = await screen.findByRole("button", { name: "New rollout" });
  await waitFor(() => expect(plan).toHaveProperty("disabled", true));
  expect(plan.title).toBe("Only for: Admin, Fleet operator");
});

it("publishes only after the version was typed", async () => {
  const { user } = await open("/releases", "manager");
  const row = await screen.findByRole("row", { name: /1\.9\.3/ });
  await user.dblClick(row);
  await user.click(await screen.findByRole("button", { name: "Publish 1.9.3" }));
  const dialog = await screen.findByRole("dialog", { name: "Publish gw8 1.9.3" });
  const act = within(dialog).getByRole("button", { name: "Publish 1.9.3" });
  await within(dialog).findByText(/becomes visible/);
  expect(act).toHaveProperty("disabled", true);
  await user.type(within(dialog).getByRole("textbox"), "1.9.3");
  expect(act).toHaveProperty("disabled", false);
});

it("never asks for a passphrase outside the vault window", async () => {
  for (const path of ["/vault", "/keys", "/inbox"]) {
    await open(path, "manager");
    await screen.findByRole("navigation", { name: "Main" });
    expect(document.querySelector('input[type="password"]')).toBeNull();
    cleanup();
  }
});

it("trusts a fleet only after its fingerprint was compared", async () => {
  const { user } = await open("/first-run", "first");
  await user.click(await screen.findByRole("radio", { name: /existing backend/ }));
  await user.type(screen.getByLabelText("Name of the fleet"), "northworks");
  await user.click(screen.getByRole("button", { name: "Next" }));
  await user.click(await screen.findByRole("button", { name: "Next" }));
  await user.type(await screen.findByLabelText("Founding file"), "/tmp/fleet.json");
  await user.click(screen.getByRole("button", { name: "Join" }));
  await user.click(await screen.findByRole("button", { name: "They differ" }));
  expect(screen.getByRole("button", { name: "All of it matches" })).toHaveProperty("disabled", true);
});

it("asks for all devices that are ready on the bench by one job, and for no other", async () => {
  const full = fake("gang");
  const started: unknown[] = [];
  const { user } = await open("/bench", "gang", {
    call: (name, request) => {
      if (name === "job.start") started.push(request);
      return full.call(name, request);
    },
  });
  await user.click(await screen.findByRole("button", { name: "Update 2 devices" }));
  await waitFor(() => expect(started).toHaveLength(1));
  const { command, request } = started[0] as { command: string; request: { devices: { line: { port: string } }[] } };
  expect(command).toBe("bench.update");
  expect(request.devices.map((device) => device.line.port)).toEqual(["/dev/ttyACM13", "/dev/ttyACM14"]);
});

it("says on the bench who proved itself, in which mode, and only while it is true not to unplug", async () => {
  const { user } = await open("/bench", "technician");
  const slot = within(await screen.findByRole("region", { name: /usb-1-4\.2/ }));
  expect(slot.getByText("Proven")).toBeTruthy();
  expect(slot.getByText("Deputy")).toBeTruthy();
  expect(slot.queryByText("Do not unplug")).toBeNull();
  await user.click(screen.getByRole("button", { name: /HX410-0091227/ }));
  const other = within(await screen.findByRole("region", { name: /usb-1-4\.3/ }));
  expect(other.getByRole("alert").textContent).toContain("Do not unplug");
  expect(other.getByText(/2\.06 of 3\.21 MB, 66\.00 kB\/s/)).toBeTruthy();
});

it("shows a technician the bench first, and nothing that takes another role", async () => {
  await open("/", "technician");
  expect(await screen.findByRole("heading", { level: 1, name: "Bench" })).toBeTruthy();
  const rail = within(screen.getByRole("navigation", { name: "Main" }));
  expect(rail.getAllByRole("link").map((link) => link.textContent)).toEqual(["Bench", "Bundles", "Reports4", "Vault", "Settings"]);
});
