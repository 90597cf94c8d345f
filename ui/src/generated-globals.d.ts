/** `generated/Counts.ts` names this type without importing it. */
type DeploymentState = import("./generated/DeploymentState").DeploymentState;
