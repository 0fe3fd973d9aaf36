import { Refused } from "fanfare";

/** For `fanfare serve --config examples/docs/fanfare.config.mjs`. */
export default {
  rooms: { "chat/:room": {}, "prices/:market": { slow: "latest" }, "@:user": {} },
  anonymous: true,
  anonymousRooms: { "chat/*": ["join", "publish", "history"] },
  limits: { requestsPerS: 20 },
  setup(hub) {
    hub.on("chat/:room", {
      publish: {
        said({ data }) {
          if (typeof data?.text !== "string") throw new Refused("invalid_data", "text is missing");
        },
      },
    });
  },
};
