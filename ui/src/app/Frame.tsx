import { Link, Navigate, Outlet, useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { heard } from "@/parts/clock";
import { Loading } from "@/parts/Listing";
import { Seal } from "@/parts/Seal";
import { Glyph } from "@/parts/State";
import { count } from "@/parts/units";
import { FirstRun } from "@/screens/FirstRun";
import { useAsk, useEvents } from "./ask";
import { useHost } from "./host";
import { Palette } from "./Palette";
import { type Place, places, placesOf } from "./places";
import { Shortcuts } from "./Shortcuts";
import { TopBar } from "./TopBar";
import { VaultElsewhere } from "./vault";

/** Rail, top bar and the screen between them. Before a workspace is open, the first run. */
export function Frame() {
  useEvents();
  const { t } = useTranslation();
  const status = useAsk("view.status", {});
  const milestone = useHost((host) => host.milestone);
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(() => {
    if (status.data) heard(status.data.server_time);
  }, [status.data]);
  const place = places.find((one) => one.to === path || (one.to !== "/" && path.startsWith(one.to)));
  useEffect(() => {
    document.title = `${place ? t(place.name) : t("place.firstrun")} · Fleetseal`;
  }, [place, t]);

  if (status.data === undefined && status.error === null) return <Loading rows={4} />;
  if (path === "/first-run") return <FirstRun />;
  const workspace = status.data?.workspace;
  if (!status.data || !workspace?.fleet || workspace.founding) return <Navigate to="/first-run" replace />;
  // A technician's home is the bench.
  if (path === "/" && !placesOf(status.data.roles).some((one) => one.to === "/")) return <Navigate to="/bench" replace />;
  return (
    <div className={`app ${workspace.kind === "training" ? "training" : ""}`}>
      <aside className="rail">
        <div className="brand">
          <Seal parts={["on", "on", "on"]} met size={18} label="" />
          Fleetseal
        </div>
        <Rail />
        <div className="me">
          <div>{status.data.person}</div>
          <div className="t3 s12">{status.data.roles.map((role) => t(`role.${role}`)).join(", ")}</div>
        </div>
      </aside>
      <TopBar status={status.data} />
      <main className="main">
        <VaultElsewhere />
        <Outlet />
      </main>
      <Palette />
      <Shortcuts />
      <div className="sr" aria-live="polite">
        {milestone && !milestone.failed && milestone.text}
      </div>
      <div className="sr" aria-live="assertive">
        {milestone?.failed && milestone.text}
      </div>
    </div>
  );
}

function Rail() {
  const { t } = useTranslation();
  const status = useAsk("view.status", {});
  const summary = useAsk("fleet.show", {});
  const inbox = useAsk("view.inbox", {});
  const queue = useAsk("bench.receipts", {});
  const counts = {
    devices: summary.data?.devices.active,
    rollouts: summary.data?.open_rollouts,
    links: summary.data?.links.open,
    inbox: inbox.data?.rows.length,
    receipts: queue.data?.waiting,
  };
  const seen = placesOf(status.data?.roles ?? []);
  const entry = (place: Place) => {
    const n = place.count && counts[place.count];
    return (
      <Link
        key={place.to}
        to={place.to}
        activeOptions={{ exact: place.to === "/", includeSearch: false }}
        activeProps={{ "aria-current": "page" }}
      >
        <place.icon className="i" aria-hidden="true" />
        {t(place.name)}
        {n !== undefined && n > 0 && (
          <span className={`n ${place.count === "inbox" ? "st warn" : ""}`}>
            {place.count === "inbox" && <Glyph kind="warn" />}
            {count(n)}
          </span>
        )}
      </Link>
    );
  };
  return (
    <nav aria-label={t("rail.name")}>
      {seen.filter((place) => !place.below).map(entry)}
      <hr />
      {seen.filter((place) => place.below).map(entry)}
    </nav>
  );
}
