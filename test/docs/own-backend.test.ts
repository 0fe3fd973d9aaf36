import "../../examples/docs/own-backend.ts";
