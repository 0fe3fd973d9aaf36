import type { ClientStatus, FanfareError, Left } from "fanfare/client";

/** Why a message was not kept, in words for its author. */
export function whyNotKept(error: FanfareError): string {
  switch (error.code) {
    case "outcome_unknown":
      return "No answer came, and it is not among the newest messages.";
    case "queue_full":
      return "Too many messages are waiting already.";
    case "too_big":
    case "invalid_data":
      return "It is longer than this room takes.";
    case "stopped":
      return "The connection was closed before it could be sent.";
    case "left":
    case "not_joined":
      return "You are no longer in this room.";
    case "forbidden":
      return "You may not write in this room.";
    case "user_changed":
      return "You are signed in under another name now.";
    default:
      return `The server refused it: ${error.message}`;
  }
}

/** Why one is out of a room. */
export function whyLeft({ reason, error }: Left): string {
  switch (reason) {
    case "removed":
      return "You were taken out of this room.";
    case "forbidden":
      return "You may not join this room.";
    case "too_many_rooms":
      return "You are in as many rooms as the server allows.";
    default:
      return `This room cannot be joined: ${error.message}`;
  }
}

/** Why a client stopped for good (P-61). */
export function whyStopped({ cause }: ClientStatus & { state: "stopped" }): string {
  switch (cause.closeCode) {
    case 4001:
      return "The server did not accept the sign-in.";
    case 4003:
      return "An operator ended this connection.";
    case 1009:
      return "A message was larger than the server takes.";
    default:
      return cause.error?.message ?? `The server closed the connection (${cause.closeCode ?? "no code"}).`;
  }
}

/** Why it waits. */
export function whyWaiting({ cause }: ClientStatus & { state: "waiting" }): string {
  switch (cause.closeCode) {
    case 1001:
    case 1012:
      return "The server is restarting.";
    case 4200:
      return "This page could not keep up.";
    case 4300:
      return "Too many connections under this name.";
    case 4301:
      return "Too much was sent at once.";
    default:
      return "Connection lost.";
  }
}
