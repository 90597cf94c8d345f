import {
  IconAntennaBars5,
  IconCpu,
  IconInbox,
  IconKey,
  IconLayoutDashboard,
  IconLink,
  IconListCheck,
  IconLock,
  IconPackage,
  IconSettings,
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
  count?: "devices" | "rollouts" | "links" | "inbox";
}

/** Every place of the rail, in its order. */
export const places: Place[] = [
  { to: "/", name: "place.overview", icon: IconLayoutDashboard, key: "o" },
  { to: "/devices", name: "place.devices", icon: IconCpu, key: "d", count: "devices" },
  { to: "/rollouts", name: "place.rollouts", icon: IconAntennaBars5, key: "r", count: "rollouts" },
  { to: "/links", name: "place.links", icon: IconLink, key: "l", count: "links" },
  { to: "/releases", name: "place.releases", icon: IconPackage, key: "e" },
  { to: "/keys", name: "place.keys", icon: IconKey, key: "k", roles: ["admin", "release_manager", "auditor"] },
  { to: "/inbox", name: "place.inbox", icon: IconInbox, key: "i", below: true, count: "inbox" },
  { to: "/vault", name: "place.vault", icon: IconLock, key: "v", below: true },
  { to: "/audit", name: "place.audit", icon: IconListCheck, key: "a", below: true, roles: ["admin", "auditor"] },
  { to: "/settings", name: "place.settings", icon: IconSettings, key: "s", below: true },
];
