import type { Address } from "../support/no-loss/connection.ts";
import type { Device } from "./actors/device.ts";
import type { Recorder } from "./records.ts";

/** Where clients reach a node. */
export interface Door {
  readonly name: string;
  readonly address: Address;
}

/** What the actors of a run share. */
export interface World {
  readonly recorder: Recorder;
  /** From 0 to 1, decided by the seed. */
  readonly random: () => number;
  /** P-52: a device that hears nothing for so long takes its connection for dead. */
  readonly silenceMs: number;
  /** The way to a node; without a name, to any. */
  door(name?: string): Door;
  /** A server has told a device to stop (4001, 4003). */
  refused(device: Device): void;
  /** A connection is open; `head` is the answer to its handshake. */
  upgraded?(connection: string, head: string): void;
  callId(): string;
}
