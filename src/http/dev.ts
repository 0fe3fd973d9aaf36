import { isUserName } from "../protocol/names.ts";
import { HttpError, type Operation, pathOf, requireMethod, sendJson } from "./answer.ts";
import { readJsonBody } from "./body.ts";
import { allowOrigin } from "./cors.ts";

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
    const { user } = await readJsonBody(request);
    if (typeof user !== "string" || !isUserName(user)) {
      throw new HttpError(400, "bad_field", "user must be a name: 1 to 254 bytes, not beginning with ~");
    }
    sendJson(response, 200, { token: await mint(user) });
    return true;
  };
}
