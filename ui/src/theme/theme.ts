import { Button, type CSSVariablesResolver, createTheme, Input, ModalHeader } from "@mantine/core";
import { colours, properties, sizes } from "./tokens";

const heights: Record<string, string> = { xs: "24px", sm: "24px", md: "28px", lg: "36px", xl: "48px" };

/** The look, on Mantine 9. */
export const theme = createTheme({
  primaryColor: "seal",
  primaryShade: { light: 7, dark: 5 },
  black: "#131B1F",
  white: "#FFFFFF",
  defaultRadius: "sm",
  respectReducedMotion: true,
  fontFamily: '"Inter Variable", system-ui, sans-serif',
  fontFamilyMonospace: '"JetBrains Mono Variable", ui-monospace, monospace',
  fontSizes: { xs: "11px", sm: "12px", md: "13px", lg: "14px", xl: "16px" },
  lineHeights: { xs: "16px", sm: "16px", md: "20px", lg: "20px", xl: "24px" },
  fontWeights: { regular: "400", medium: "500", bold: "600" },
  spacing: { xs: "4px", sm: "8px", md: "12px", lg: "16px", xl: "24px" },
  radius: { xs: "3px", sm: "4px", md: "6px", lg: "8px", xl: "8px" },
  colors: {
    seal: ["#E8F9FB", "#CEEFF3", "#A6E0E7", "#7CCDD6", "#53B9C4", "#31A4AF", "#068B96", "#05747D", "#015B63", "#033D43"],
    dark: ["#E6EAED", "#ABB4B9", "#869095", "#677278", "#394246", "#21282C", "#111518", "#090D10", "#05080A", "#000000"],
    gray: ["#F4F7F9", "#E7ECEE", "#DCE0E3", "#CFD5D9", "#C3CACE", "#778288", "#5E6A70", "#444F55", "#1B2429", "#131B1F"],
  },
  components: {
    // Else a dialog's head is a second banner of the page.
    ModalHeader: ModalHeader.extend({ defaultProps: { role: "presentation" } }),
    Button: Button.extend({
      defaultProps: { size: "md" },
      vars: (_, props) => ({ root: { "--button-height": heights[props.size ?? "md"] } }),
    }),
    Input: Input.extend({
      defaultProps: { size: "md" },
      vars: (_, props) => ({ wrapper: { "--input-height": heights[props.size ?? "md"], "--input-fz": "13px" } }),
    }),
  },
});

export const resolver: CSSVariablesResolver = () => ({
  variables: properties(sizes),
  light: {
    ...properties(colours.light),
    "--mantine-color-body": "#F3F6F7",
    "--mantine-color-placeholder": "#5E6A70",
    "--mantine-color-error": "#AA1624",
  },
  dark: {
    ...properties(colours.dark),
    "--mantine-primary-color-contrast": "#041012",
    "--mantine-color-seal-filled-hover": "#53B9C4",
    "--mantine-color-placeholder": "#869095",
    "--mantine-color-error": "#FE938D",
  },
});
