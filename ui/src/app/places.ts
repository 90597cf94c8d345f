import {
  IconAntennaBars5,
  IconCpu,
  IconFileText,
  IconFileZip,
  IconInbox,
  IconKey,
  IconLayoutDashboard,
  IconLink,
  IconListCheck,
  IconLock,
  IconPackage,
  IconSettings,
  IconUsb,
  type TablerIcon,
} from "@tabler/icons-react";
import type { Role } from "@/generated/Role";
import type { Key } from "@/words";

export interface Place {
  to: string;
  name: Key;
  icon: TablerIcon;
  /** Pressed after `g`. */
  key: string;
  /** Whose work it is; others do not see it in the rail. */
  roles?: Role[];
  below?: boolean;
  /** It needs no network: shown while nobody can say which roles the person has, too. */
  bench?: boolean;
  count?: "devices" | "rollouts" | "links" | "inbox" | "receipts";
}

/** Whose work the bench is. */
const BENCH: Role[] = ["technician", "operator", "admin"];

/** Every place of the rail, in its order. */
export const places: Place[] = [
  { to: "/", name: "place.overview", icon: IconLayoutDashboard, key: "o" },
  { to: "/devices", name: "place.devices", icon: IconCpu, key: "d", count: "devices" },
  { to: "/rollouts", name: "place.rollouts", icon: IconAntennaBars5, key: "r", count: "rollouts" },
  { to: "/links", name: "place.links", icon: IconLink, key: "l", count: "links" },
  { to: "/releases", name: "place.releases", icon: IconPackage, key: "e" },
  { to: "/keys", name: "place.keys", icon: IconKey, key: "k", roles: ["admin", "release_manager", "auditor"] },
  { to: "/bench", name: "place.bench", icon: IconUsb, key: "b", roles: BENCH, bench: true },
  { to: "/bundles", name: "place.bundles", icon: IconFileZip, key: "u", roles: BENCH, bench: true },
  { to: "/reports", name: "place.reports", icon: IconFileText, key: "p", roles: BENCH, bench: true, count: "receipts" },
  { to: "/inbox", name: "place.inbox", icon: IconInbox, key: "i", below: true, count: "inbox" },
  { to: "/vault", name: "place.vault", icon: IconLock, key: "v", below: true },
  { to: "/audit", name: "place.audit", icon: IconListCheck, key: "a", below: true, roles: ["admin", "auditor"] },
  { to: "/settings", name: "place.settings", icon: IconSettings, key: "s", below: true },
];

/** The places of a person with these roles; a technician's are the bench's, with what everybody has. */
export function placesOf(roles: Role[]): Place[] {
  const bench = roles.length > 0 && roles.every((role) => role === "technician");
  return places.filter((place) => {
    if (bench) return place.bench || (place.below && !place.roles && place.to !== "/inbox");
    return !place.roles || place.roles.some((role) => roles.includes(role)) || (place.bench && roles.length === 0);
  });
}
