// What a connect costs on `ws` behind node:http when nothing is checked, joined or said.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket) => socket.on("error", () => socket.terminate()));
server.listen(0, "127.0.0.1", 4096, () => console.log(JSON.stringify({ port: server.address().port })));
