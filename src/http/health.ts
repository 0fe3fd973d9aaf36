import type { Hub } from "../server/index.ts";
import { type Answer, jsonAnswer } from "./answer.ts";

/** `GET /healthz`: the process is up. */
export function upAnswer(): Answer {
  return jsonAnswer(200, { status: "up" });
}

/** `GET /readyz`: it can serve now (200), or cannot and why (503). No secrets: anyone may ask. */
export async function readyAnswer(hub: Pick<Hub, "ready">): Promise<Answer> {
  const state = await hub.ready();
  return jsonAnswer(state.ready ? 200 : 503, state);
}
