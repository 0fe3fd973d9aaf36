import { isUserName } from "../protocol/names.ts";
import { pathOf } from "../server/target.ts";
import { type Operation, requireMethod, sendJson } from "./answer.ts";
import { readJsonBody } from "./body.ts";
import { allowOrigin } from "./cors.ts";
import { badField } from "./errors.ts";
import { nodeRequest } from "./request.ts";

const maxBodyBytes = 4_096;

/**
 * `POST /dev/token {user}` gives `{token}` to whoever asks: for a machine of one's own, never for a network.
 *
 * @param mint makes a token for a user's name that was checked by P-13
 */
export function devToken(mint: (user: string) => string | Promise<string>): Operation {
  return async (request, response) => {
    if (pathOf(request) !== "/dev/token") return false;
    if (allowOrigin(request, response, ["*"], "POST")) return true;
    requireMethod(request, "POST");
    const { user } = await readJsonBody(nodeRequest(request), maxBodyBytes);
    if (typeof user !== "string" || !isUserName(user)) {
      throw badField("user must be a name: 1 to 254 bytes, not beginning with ~");
    }
    sendJson(response, 200, { token: await mint(user) });
    return true;
  };
}
