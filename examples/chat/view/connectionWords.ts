import type { ClientStatus } from "fanfare/client";

export function connectionWords({ state }: ClientStatus): string {
  switch (state) {
    case "online":
      return "Online";
    case "connecting":
      return "Connecting";
    case "waiting":
      return "Reconnecting";
    case "offline":
      return "No network";
    case "stopped":
      return "Disconnected";
    case "idle":
      return "Signed out";
  }
}
