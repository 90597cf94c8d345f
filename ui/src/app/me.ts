import { useTranslation } from "react-i18next";
import type { Role } from "@/generated/Role";
import { useAsk } from "./ask";
import { mayDo } from "./host";

const none: Role[] = [];

/** The person's roles, and who else can do what they may not. */
export function useMe() {
  const { t } = useTranslation();
  const status = useAsk("view.status", {});
  const roles = status.data?.roles ?? none;
  return {
    status: status.data,
    roles,
    /** Undefined where the person may; otherwise who can. */
    denied: (wanted: Role[]): string | undefined =>
      mayDo(roles, wanted) ? undefined : t("denied.who", { who: wanted.map((role) => t(`role.${role}`)).join(", ") }),
  };
}
