import { IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Glyph } from "@/parts/State";
import { platform } from "@/platform";
import { useHost } from "./host";

/** Brings the vault window up; where it is a page of its own, says where to find it. */
export function bringVault(): void {
  const open = platform().openVault;
  if (open) void open();
  else useHost.setState({ vaultElsewhere: true });
}

/** Where the vault's page is, once somebody wanted it and nothing could bring it up. */
export function VaultElsewhere() {
  const { t } = useTranslation();
  const shown = useHost((host) => host.vaultElsewhere);
  if (!shown) return null;
  return (
    <div className="note elsewhere" role="status">
      <Glyph kind="run" />
      <span className="grow">{t("vault.elsewhere")}</span>
      <button type="button" className="copybtn" aria-label={t("act.close")} onClick={() => useHost.setState({ vaultElsewhere: false })}>
        <IconX className="copy" />
      </button>
    </div>
  );
}
