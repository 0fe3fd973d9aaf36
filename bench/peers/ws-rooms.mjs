// A room server as one writes it by hand on `ws`: a set of members for each room, one JSON.stringify for each message and
// one `send` for each member. It keeps nothing and checks nothing; what it does not do, it does not pay for.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const rooms = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket, request) => {
  const members = enter(request.url, socket);
  socket.on("message", (text) => {
    const message = JSON.stringify(JSON.parse(text));
    for (const member of members) member.send(message);
  });
  socket.on("error", () => socket.terminate());
  socket.on("close", () => members.delete(socket));
});

server.listen(0, "127.0.0.1", 4096, () => console.log(JSON.stringify({ port: server.address().port })));

function enter(room, socket) {
  const members = rooms.get(room) ?? new Set();
  rooms.set(room, members.add(socket));
  return members;
}
