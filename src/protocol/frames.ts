import type { ErrorCode } from "./codes.ts";
import type { Cursor } from "./cursor.ts";
import type { Json } from "./json.ts";

/** What a connection may do in a room beyond being in it (P-21). */
export const rights = ["publish", "signal", "presence", "history"] as const;
export type Right = (typeof rights)[number];

/** The limits that `welcome` tells (P-12). */
export interface WelcomeLimits {
  message_bytes: number;
  rooms: number;
  requests_per_s: number;
  dedupe_ms: number;
}

/** A member as others see it (P-40). */
export interface Member {
  user: string;
  data: Json;
}

/** A message as it stands in a log (P-30), without its room. */
export interface KeptMessage {
  offset: number;
  prev?: number;
  event: string;
  data: Json;
  from?: string;
  at: number;
  key?: string;
}

/** One fault that a schema found (P-60). */
export interface Issue {
  message: string;
  path?: (string | number)[];
}

/** What a client sends, checked and complete: an absent field is `undefined`, an absent `data` is `null`. */
export type ClientFrame =
  | JoinFrame
  | LeaveFrame
  | PublishFrame
  | SignalRequest
  | HistoryRequest
  | PresenceRequest
  | AuthFrame
  | PingFrame
  | { type: "pong" };

export interface JoinFrame {
  type: "join";
  id: string | undefined;
  room: string;
  since: Cursor | undefined;
  history: number | undefined;
  /** undefined: not given, so an earlier join's stays (P-24). */
  presence: boolean | undefined;
  /** undefined: not given, so an earlier join's stays (P-24). */
  data: Json | undefined;
}

export interface LeaveFrame {
  type: "leave";
  id: string | undefined;
  room: string;
}

export interface PublishFrame {
  type: "publish";
  id: string | undefined;
  key: string | undefined;
  room: string;
  event: string;
  data: Json;
  echo: boolean;
}

export interface SignalRequest {
  type: "signal";
  id: string | undefined;
  room: string;
  event: string;
  data: Json;
}

export interface HistoryRequest {
  type: "history";
  id: string;
  room: string;
  before: number | undefined;
  limit: number;
}

export interface PresenceRequest {
  type: "presence";
  id: string | undefined;
  room: string;
  data: Json;
}

export interface AuthFrame {
  type: "auth";
  id: string | undefined;
  token: string;
}

export interface PingFrame {
  type: "ping";
  id: string | undefined;
  timestamp: number | undefined;
}

/** A request that names a room: those of one connection and room keep their order (P-6). */
export type RoomRequest = Extract<ClientFrame, { room: string }>;

/** What a server sends. */
export type ServerFrame =
  | {
      type: "welcome";
      v: 1;
      connection: string;
      user: string;
      ping_ms: number;
      server_time: number;
      expires_at?: number;
      limits: WelcomeLimits;
    }
  | { type: "auth_required"; within_ms: number }
  | { type: "reauth"; within_ms: number }
  | { type: "authed"; re?: string; expires_at?: number }
  | JoinedFrame
  | { type: "left"; re?: string; room: string; reason?: "forbidden" | "removed" }
  | AckFrame
  | MessageFrame
  | { type: "skip"; room: string; offset: number }
  | GapFrame
  | HistoryFrame
  | SignalFrame
  | PresenceFrame
  | { type: "ping" }
  | { type: "pong"; re?: string; timestamp?: number; server_time: number }
  | { type: "drain"; retry_after_ms: number }
  | ErrorFrame
  | { type: "closed"; code: number; reason: string };

/** What lies before the cursor will not be sent (P-35). */
export interface GapFrame {
  type: "gap";
  room: string;
  /** Absent where the room keeps no log. */
  cursor?: string;
  reason: "slow" | "trimmed" | "epoch";
}

export interface JoinedFrame {
  type: "joined";
  re?: string;
  room: string;
  /** Absent where the room keeps no log; then `kept` is false (P-21). */
  cursor?: string;
  kept?: false;
  replay: number;
  recovered?: boolean;
  members: number;
  rights: Right[];
  presence?: Member[];
}

export interface AckFrame {
  type: "ack";
  re: string;
  room: string;
  offset?: number;
  cursor?: string;
  duplicate?: true;
  result?: Json;
}

export interface MessageFrame extends Omit<KeptMessage, "offset"> {
  type: "message";
  room: string;
  /** Absent where the room keeps no log. */
  offset?: number;
}

export interface HistoryFrame {
  type: "history";
  re: string;
  room: string;
  messages: KeptMessage[];
  cursor: string;
  more: boolean;
}

export interface SignalFrame {
  type: "signal";
  /** Absent on a signal from the server to this connection alone (P-34). */
  room?: string;
  event: string;
  data: Json;
  from?: string;
  at: number;
}

export interface PresenceFrame {
  type: "presence";
  room: string;
  joined?: Member[];
  left?: { user: string }[];
  updated?: Member[];
  all?: Member[];
  members: number;
}

export interface ErrorFrame {
  type: "error";
  re?: string;
  room?: string;
  code: ErrorCode;
  message: string;
  retry_after_ms?: number;
  issues?: Issue[];
}
