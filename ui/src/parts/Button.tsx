import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";

interface Props extends ButtonHTMLAttributes<HTMLButtonElement> {
  ref?: Ref<HTMLButtonElement>;
  look?: "primary" | "strong" | "danger" | "quiet";
  size?: "sm" | "lg";
  icon?: ReactNode;
  /** Who may do it, where the person may not. The control stays, disabled. */
  denied?: string;
}

/** One act. A person who may not do it sees who can. */
export const Button = ({ look, size, icon, denied, children, className, disabled, ...rest }: Props) => (
  <button
    type="button"
    className={["btn", look, size, className].filter(Boolean).join(" ")}
    disabled={disabled || !!denied}
    title={denied}
    {...rest}
  >
    {icon}
    {children}
  </button>
);
